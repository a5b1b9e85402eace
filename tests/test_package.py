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

# The page that contributors read is what is kept.
MAP = (DOCS.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
FLOORS = {
    room: int(floor)
    for floor, rooms in re.findall(r"^\| (\d+) \| (.*?) \|", MAP, re.M)
    for room in re.findall(r"`(\w+)`|the package itself", rooms)
}
# The default regressor, imported when `fit` needs it.
EXCEPTION = (
    "sklearn_adaalloc.allocators._regressor_allocator",
    "sklearn_adaalloc.regressors",
)


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


def test_the_map_shows_the_rooms_that_there_are():
    assert {room(module) for module in MODULES} == set(FLOORS)


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
    commands = "sklearn_adaalloc.command_line.commands."  # imported by their names
    graph["sklearn_adaalloc.command_line._main"] |= {
        module for module in MODULES if module.startswith(commands)
    }
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
    heavy = {"torch", "skorch", "transformers", "peft", "matplotlib", "ray"}
    assert heavy.isdisjoint(loaded)


def test_the_package_itself_loads_nothing_until_a_name_is_asked_for():
    script = """
import sys
import sklearn_adaalloc

assert not {"numpy", "scipy", "sklearn"} & set(sys.modules)
assert set(sklearn_adaalloc.__all__) <= set(dir(sklearn_adaalloc))
names = {name: getattr(sklearn_adaalloc, name) for name in sklearn_adaalloc.__all__}
assert vars(sklearn_adaalloc).items() >= names.items()
from sklearn_adaalloc import metrics
assert sklearn_adaalloc.metrics is metrics and sklearn_adaalloc.decoding
"""
    subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT.parent)},
        check=True,
    )


def test_a_name_that_is_not_there_is_said_to_be_missing():
    with pytest.raises(AttributeError, match="has no attribute 'Allocator'"):
        importlib.import_module(ROOT.name).Allocator  # noqa: B018


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
    scripts = [*DOCS.glob("examples/**/*.py"), *DOCS.glob("extending/*.py")]
    gallery = [path.read_text("utf-8") for path in scripts]
    nodes = [node for text in gallery for node in ast.walk(ast.parse(text))]
    called = {node.id for node in nodes if isinstance(node, ast.Name)}
    pages = [path for path in DOCS.rglob("*.rst") if path.name not in NO_GUIDE]
    guide = [p.read_text("utf-8") for p in pages if MADE.isdisjoint(p.parts)]
    code = re.findall(r"^(?:[ \t]+|>>> |\.\.\. ).*$", "\n".join(guide), re.M)
    links = re.findall(r":(?:class|meth):`[^`]+`", "\n".join(gallery + guide))
    return called.union(*(re.findall(r"\w+", line) for line in code + links))


@pytest.mark.parametrize("name", CLASSES)
def test_every_public_class_is_in_an_example(name):
    # A base class is, where a class derived from it is.
    derived = [
        other for other, cls in CLASSES.items() if issubclass(cls, CLASSES[name])
    ]
    assert not names_in_examples().isdisjoint(derived)
