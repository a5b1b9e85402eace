"""What holds for the package as a whole: its floors, its names, its docstrings."""

import ast
import graphlib
import importlib
import inspect
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sklearn_adaalloc

ROOT = Path(sklearn_adaalloc.__file__).parent

# A room imports from floors below its own, never from its own floor or above. Rooms
# split off from another stand half a floor above it.
FLOORS = {
    "_version": 0,
    "_parameters": 0,
    "_validation": 0.5,
    "_optional": 0,
    "_queries": 0,
    "_checkpoints": 0,
    "_curves": 1,
    "_solvers": 2,
    "_rate_solver": 2.5,
    "_correction": 2,
    "_improvement": 2,
    "_sequential": 2.5,
    "_beliefs": 2.75,
    "_targets": 2,
    "_language_model": 2,
    "metrics": 3,
    "datasets": 3,
    "features": 3,
    "regressors": 4,
    "allocators": 4,
    "sampling": 4,
    "rewards": 4,
    "decoding": 5,
    "_manifest": 0,
    "_reward_store": 1,
    "_grading": 1,
    "_collection": 2,
    "collect": 5,
    "_estimator_files": 4.5,
    "persistence": 5,
    "": 6,  # the package's own names
    "__main__": 7,
}
# The default regressor, imported when `fit` needs it.
EXCEPTION = ("sklearn_adaalloc.allocators._base", "sklearn_adaalloc.regressors")


# Imports


def module_name(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def imported_modules(name):
    """Modules of this package that a module names, inside functions too."""
    tree = ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8")))
    nodes = [node for node in tree if isinstance(node, ast.Import | ast.ImportFrom)]
    plain = [
        alias.name
        for node in nodes
        if isinstance(node, ast.Import)
        for alias in node.names
    ]
    froms = [
        [f"{node.module}.{alias.name}", node.module]
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    found = plain + [next((c for c in both if c in MODULES), both[1]) for both in froms]
    return {target for target in found if target.partition(".")[0] == ROOT.name}


IMPORTS = [
    (importer, imported)
    for importer in MODULES
    for imported in sorted(imported_modules(importer))
    if (importer, imported) != EXCEPTION
]


def room(module):
    return module.split(".")[1] if "." in module else ""


def test_relative_imports_are_not_used():
    # They would escape the tests below.
    for path in MODULES.values():
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        levels = [node.level for node in nodes if isinstance(node, ast.ImportFrom)]
        assert not any(levels), path


def test_every_module_has_a_floor():
    assert {room(module) for module in MODULES} <= set(FLOORS)


def test_imports_lead_downward():
    upward = [
        (importer, imported)
        for importer, imported in IMPORTS
        if room(importer) != room(imported)
        and FLOORS[room(importer)] <= FLOORS[room(imported)]
    ]
    assert upward == []


def test_imports_have_no_cycle():
    graph = {module: set() for module in MODULES}
    for importer, imported in IMPORTS:
        graph[importer].add(imported)
    order = tuple(graphlib.TopologicalSorter(graph).static_order())
    assert order[-1] in ("sklearn_adaalloc", "sklearn_adaalloc.__main__")


def test_the_one_exception_is_there_and_inside_a_function():
    importer, imported = EXCEPTION
    assert imported in imported_modules(importer)
    tree = ast.parse(MODULES[importer].read_text(encoding="utf-8"))
    at_top = {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert imported not in at_top


def test_heavy_packages_are_not_loaded_before_they_are_needed():
    script = """
import sys
import sklearn_adaalloc, sklearn_adaalloc.datasets, sklearn_adaalloc.metrics
from sklearn.linear_model import Ridge

sklearn_adaalloc.MLPRewardRegressor()
regressor = sklearn_adaalloc.RewardRegressor(Ridge())
allocator = sklearn_adaalloc.AdaptiveAllocator(regressor)
X, rewards = [[0.0], [1.0]], [[0, 1], [1, 1]]
allocator.fit(X, rewards).score(X, rewards)
print(*sorted(sys.modules))
"""
    loaded = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT.parent)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert "sklearn_adaalloc" in loaded
    heavy = {"torch", "skorch", "transformers", "peft", "matplotlib"}
    assert heavy.isdisjoint(loaded)


# Public names and their docstrings


def public_packages():
    rooms = [info.name for info in pkgutil.iter_modules(sklearn_adaalloc.__path__)]
    public = [f"{ROOT.name}.{name}" for name in rooms if not name.startswith("_")]
    return [ROOT.name, *public]


PUBLIC = {
    name: getattr(importlib.import_module(package), name)
    for package in public_packages()
    for name in importlib.import_module(package).__all__
    if name != "__version__"
}


def methods(cls):
    """Names of public methods that this package defines."""
    members = inspect.getmembers(cls, inspect.isroutine)
    return [
        name
        for name, member in members
        if not name.startswith("_")
        and getattr(member, "__module__", "").startswith(ROOT.name)
    ]


def documented_parameters(docstring):
    """Name -> what follows the colon, or None without a colon."""
    text = inspect.cleandoc(docstring).replace("\\\n", " ")
    section = re.search(
        r"^Parameters\n-+\n(.*?)(?=^\w[^\n]*\n-+$|\Z)", text, re.M | re.S
    )
    headers = re.findall(r"^(?!\s)(.+)$", section.group(1), re.M) if section else []
    split = [header.partition(" : ") for header in headers]
    return {
        name.strip(" *"): specification or None
        for names, _, specification in split
        for name in names.split(",")
    }


def signature_defaults(public):
    parameters = inspect.signature(public).parameters.values()
    return {p.name: p.default for p in parameters if p.name != "self"}


def stated_default(specification):
    stated = re.search(r"(?:default=|^(?=None$))(.+)$", specification)
    return ast.literal_eval(stated.group(1)) if stated else inspect.Parameter.empty


CLASSES = {name: public for name, public in PUBLIC.items() if inspect.isclass(public)}
METHODS = {
    f"{name}.{method}": getattr(public, method)
    for name, public in CLASSES.items()
    for method in methods(public)
}
CALLABLES = PUBLIC | METHODS


@pytest.mark.parametrize("package", public_packages())
def test_public_names_exist_once_and_in_order(package):
    names = importlib.import_module(package).__all__
    module = importlib.import_module(package)
    assert all(hasattr(module, name) for name in names)
    assert list(names) == sorted(set(names))


@pytest.mark.parametrize(
    "name",
    [
        "AdaptiveAllocator",
        "BinnedAllocator",
        "DummyAllocator",
        "MLPRewardRegressor",
        "RewardRegressor",
    ],
)
def test_names_that_others_rely_on(name):
    assert name in sklearn_adaalloc.__all__


@pytest.mark.parametrize("name", PUBLIC)
def test_public_docstrings_have_an_example(name):
    docstring = inspect.getdoc(PUBLIC[name])
    assert re.search(r"^Examples\n--------\n(.|\n)*>>> ", docstring, re.M)


@pytest.mark.parametrize("name", CALLABLES)
def test_documented_parameters_are_the_real_ones(name):
    real = signature_defaults(CALLABLES[name])
    documented = documented_parameters(CALLABLES[name].__doc__)
    assert set(documented) == set(real)


@pytest.mark.parametrize("name", CALLABLES)
def test_documented_defaults_are_the_real_ones(name):
    real = signature_defaults(CALLABLES[name])
    documented = documented_parameters(CALLABLES[name].__doc__)
    stated = {
        parameter: stated_default(specification)
        for parameter, specification in documented.items()
        if specification is not None
    }
    assert stated == {parameter: real[parameter] for parameter in stated}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("budget : float, default=1.0", {"budget": 1.0}),
        ('kind : {"a", "b"}, default="a"', {"kind": "a"}),
        ("kind : int or \\\n        None, default=None", {"kind": None}),
        ("y : None", {"y": None}),
        ("*low, **high : float", dict.fromkeys(["low", "high"], inspect._empty)),
    ],
)
def test_the_reader_of_docstrings(header, expected):
    before, after = "Do it.\n\nParameters\n----------\n", "Returns\n-------\nx : int\n"
    documented = documented_parameters(f"{before}{header}\n    What.\n\n{after}")
    stated = {name: stated_default(text) for name, text in documented.items()}
    assert stated == expected
