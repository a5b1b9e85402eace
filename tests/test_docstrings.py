"""Public docstrings say what the code does."""

import ast
import inspect
import re

import numpy as np
import pytest
from package_contents import (
    CALLABLES,
    DOCS,
    ESTIMATORS,
    METHODS,
    PUBLIC,
    ROOT,
    documented_parameters,
    section_headers,
)
from sklearn.base import clone
from sklearn.linear_model import Ridge

from sklearn_adaalloc import (
    AdaptiveAllocator,
    BinnedAllocator,
    DummyAllocator,
    MLPRewardRegressor,
    PricedAllocator,
    RewardRegressor,
    SequentialAllocator,
    StreamAllocator,
)


def parameters_of(public):
    # A class of its own kind, such as a module of DSPy, hides what it is made with.
    own = inspect.isclass(public) and "__init__" in vars(public)
    return inspect.signature(public.__init__ if own else public).parameters.values()


def signature_defaults(public):
    return {p.name: p.default for p in parameters_of(public) if p.name != "self"}


def stated_default(specification):
    stated = re.search(r"(?:default=|^(?=None$))(.+)$", specification)
    return ast.literal_eval(stated.group(1)) if stated else inspect.Parameter.empty


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
    variadic = {
        p.name for p in parameters_of(CALLABLES[name]) if p.kind is p.VAR_KEYWORD
    }
    documented = documented_parameters(CALLABLES[name].__doc__)
    typed = {p: kind for p, kind in documented.items() if p not in variadic}
    assert None not in typed.values()
    real = signature_defaults(CALLABLES[name])
    assert {p: stated_default(typed[p]) for p in typed} == {p: real[p] for p in typed}


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


# Attributes

X = np.linspace(0, 1, 60)[:, None]
REWARDS = np.random.default_rng(0).integers(0, 2, (60, 4))
RIDGE = RewardRegressor(Ridge())


@pytest.mark.parametrize(
    "estimator",
    [
        RIDGE,
        MLPRewardRegressor(max_epochs=1, random_state=0),
        AdaptiveAllocator(RIDGE),
        BinnedAllocator(RIDGE),
        PricedAllocator(RIDGE),
        SequentialAllocator(RIDGE),
        StreamAllocator(RIDGE),
        DummyAllocator(),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_fitted_attributes_are_documented(estimator):
    fitted = vars(clone(estimator).fit(X, REWARDS))
    public = {n for n in fitted if n.endswith("_") and not n.startswith("_")}
    headers = section_headers(type(estimator).__doc__, "Attributes")
    documented = ", ".join(header.partition(" : ")[0] for header in headers).split(", ")
    assert public <= set(documented)


# Skipped doctests


SOURCES = sorted(
    path
    for folder in (ROOT, DOCS)
    for path in folder.rglob("*")
    if path.suffix in (".py", ".rst", ".md") and "_build" not in path.parts
)


def test_no_doctest_is_skipped():
    skip = re.compile(r"\+SKIP|__doctest_skip__|__doctest_requires__|:skipif:")
    skipped = [p.name for p in SOURCES if skip.search(p.read_text(encoding="utf-8"))]
    assert {".py", ".rst"} <= {path.suffix for path in SOURCES}
    assert skipped == []


# See Also

SEE_ALSO = {
    name: section_headers(public.__doc__, "See Also")
    for name, public in CALLABLES.items()
    if re.search(r"^\s*See Also$", public.__doc__, re.M)
}


@pytest.mark.parametrize("name", SEE_ALSO)
def test_see_also_names_what_there_is_and_says_why(name):
    entries = [header.partition(" : ") for header in SEE_ALSO[name]]
    own = name.partition(".")[0]
    known = CALLABLES.keys() | {
        m.partition(".")[2] for m in METHODS if m.startswith(own)
    }
    assert entries
    assert {part for names, _, _ in entries for part in names.split(", ")} <= known
    assert all(description.strip() for _, _, description in entries)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_says_what_else_there_is(name):
    assert name in SEE_ALSO
