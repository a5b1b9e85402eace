"""What holds for the package as a whole: its floors, its names, its sizes."""

import ast
import graphlib
import importlib
import os
import re
import subprocess
import sys

import pytest
from package_contents import (
    CLASSES,
    DOCS,
    ESTIMATORS,
    HOMES,
    MODULES,
    ROOT,
    public_packages,
    syntax_tree,
)

# A room imports from floors below its own, never from its own floor or above. Rooms
# split off from another stand half a floor above it.
FLOORS = {
    "_version": 0,
    "_parameters": 0,
    "_numbers": 0,
    "_validation": 0.5,
    "_optional": 0,
    "_documentation": 0,
    "_identity": 0,
    "_policies": 0,
    "_queries": 0,
    "_checkpoints": 0,
    "_curves": 1,
    "_solvers": 2,
    "_rate_solver": 2.5,
    "_correction": 2,
    "_improvement": 2,
    "_sequential": 2.5,
    "_beliefs": 2.75,
    "_rate_grid": 2,
    "_short_rows": 2.25,
    "_targets": 2.5,
    "_model_options": 1,
    "_language_model": 2,
    "metrics": 3,
    "datasets": 3,
    "features": 3,
    "regressors": 4,
    "allocators": 4,
    "sampling": 4,
    "rewards": 4.25,  # a judge is a sampler
    "decoding": 5,
    "_manifest": 0.5,
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


def imported_modules(name):
    """Modules of this package that a module names, inside functions too."""
    tree = syntax_tree(name)
    nodes = [
        node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)
    ]
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
    for module in MODULES:
        nodes = ast.walk(syntax_tree(module))
        levels = [node.level for node in nodes if isinstance(node, ast.ImportFrom)]
        assert not any(levels), module


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
    top = syntax_tree(importer).body
    at_top = {node.module for node in top if isinstance(node, ast.ImportFrom)}
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


# Public names


@pytest.mark.parametrize("package", public_packages())
def test_public_names_exist_once_and_in_order(package):
    module = importlib.import_module(package)
    names = module.__all__
    assert all(hasattr(module, name) for name in names)
    assert list(names) == sorted(set(names))


@pytest.mark.parametrize(
    "name",
    [
        "AdaptiveAllocator",
        "BinnedAllocator",
        "DummyAllocator",
        "HiddenStateFeaturizer",
        "LoRARewardRegressor",
        "MLPRewardRegressor",
        "RewardRegressor",
        "SequentialAllocator",
        "collect_rewards",
        "load_policy",
        "save_policy",
    ],
)
def test_names_that_others_rely_on(name):
    assert name in importlib.import_module(ROOT.name).__all__


def api_page():
    """Each name on the API page -> the package it is listed for, in pairs."""
    text = (DOCS / "api.rst").read_text(encoding="utf-8")
    package = rf"^\.\. (?:currentmodule|module):: ({ROOT.name}\S*)$"
    _, *parts = re.split(package, text, flags=re.M)
    lists = r"^\.\. autosummary::\n((?:[ \t]+.*\n|\n)*)"
    return [
        (name, package)
        for package, part in zip(parts[::2], parts[1::2], strict=True)
        for block in re.findall(lists, part + "\n", re.M)
        for name in re.findall(r"^[ \t]+(\w+)$", block, re.M)
    ]


def test_the_api_page_lists_each_public_name_once():
    assert sorted(api_page()) == sorted(HOMES.items())


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators_link_to_pages_that_the_api_page_makes(name):
    made = {f"{package}.{name}.html" for name, package in api_page()}
    link = ESTIMATORS[name]._get_doc_link(ESTIMATORS[name].__new__(ESTIMATORS[name]))
    assert link.rpartition("/generated/")[2] in made


# Pages that list names without showing what they do, and those made from others.
NO_GUIDE = {"api.rst", "changelog.rst", "glossary.rst"}
MADE = {"_build", "generated", "gallery"}


def names_in_examples():
    """What the code of the gallery and of the guide names or their text links to."""
    gallery = [path.read_text("utf-8") for path in DOCS.glob("examples/**/*.py")]
    nodes = [node for text in gallery for node in ast.walk(ast.parse(text))]
    called = {node.id for node in nodes if isinstance(node, ast.Name)}
    pages = [path for path in DOCS.rglob("*.rst") if path.name not in NO_GUIDE]
    guide = [p.read_text("utf-8") for p in pages if MADE.isdisjoint(p.parts)]
    code = re.findall(r"^(?:[ \t]+|>>> |\.\.\. ).*$", "\n".join(guide), re.M)
    links = re.findall(r":(?:class|meth):`[^`]+`", "\n".join(gallery + guide))
    return called.union(*(re.findall(r"\w+", line) for line in code + links))


@pytest.mark.parametrize("name", CLASSES)
def test_every_public_class_is_in_an_example(name):
    assert {name} <= names_in_examples()


# Sizes


def lines_of_code(function):
    """Lines of a function, its docstring left out."""
    docstring = function.body[0] if ast.get_docstring(function) else None
    written = docstring.end_lineno - docstring.lineno + 1 if docstring else 0
    return function.end_lineno - function.lineno + 1 - written


@pytest.mark.parametrize("module", MODULES)
def test_modules_and_functions_can_be_read_in_one_go(module):
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= 400
    functions = [
        node
        for node in ast.walk(syntax_tree(module))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert [f.name for f in functions if lines_of_code(f) > 60] == []
