"""What the package holds: its modules, its public names, what its docstrings say."""

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import sklearn_adaalloc

ROOT = Path(sklearn_adaalloc.__file__).parent
# Beside the tests, also where those run against an installed package.
DOCS = Path(__file__).resolve().parents[2] / "docs"


# Modules


def module_name(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def syntax_tree(module):
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


# Public names


def public_packages():
    rooms = [info.name for info in pkgutil.iter_modules(sklearn_adaalloc.__path__)]
    public = [f"{ROOT.name}.{name}" for name in rooms if not name.startswith("_")]
    return [ROOT.name, *public]


# Name -> the package that users import it from: the first, and so the shortest.
HOMES = {
    name: package
    for package in reversed(public_packages())
    for name in importlib.import_module(package).__all__
    if name != "__version__"
}
PUBLIC = {
    name: getattr(importlib.import_module(package), name)
    for name, package in HOMES.items()
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


CLASSES = {name: public for name, public in PUBLIC.items() if inspect.isclass(public)}
ESTIMATORS = {
    name: cls
    for name, cls in CLASSES.items()
    if hasattr(cls, "get_params") and "__init__" in vars(cls)  # no base classes
}
METHODS = {
    f"{name}.{method}": getattr(public, method)
    for name, public in CLASSES.items()
    for method in methods(public)
}
CALLABLES = PUBLIC | METHODS


# Docstrings


def section_headers(docstring, title):
    """Lines of a section that are not indented."""
    text = inspect.cleandoc(docstring).replace("\\\n", " ")
    section = re.search(rf"^{title}\n-+\n(.*?)(?=^\w[^\n]*\n-+$|\Z)", text, re.M | re.S)
    return re.findall(r"^(?!\s)(.+)$", section.group(1), re.M) if section else []


def documented_parameters(docstring):
    """Name -> what follows the colon, or None without a colon."""
    headers = section_headers(docstring, "Parameters")
    split = [header.partition(" : ") for header in headers]
    return {
        name.strip(" *"): specification or None
        for names, _, specification in split
        for name in names.split(",")
    }
