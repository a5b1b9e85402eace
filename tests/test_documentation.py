"""Links from HTML representations to the pages of the documentation."""

import inspect
import pickle
import re
from urllib.parse import unquote

import pytest
from package_contents import DOCS, ESTIMATORS, HOMES, documented_parameters
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from sklearn_adaalloc import AdaptiveAllocator, DummyAllocator, HiddenStateFeaturizer
from sklearn_adaalloc.decoding import BestOfK

STABLE = "https://sklearn-adaalloc.readthedocs.io/en/stable/generated"


@pytest.fixture(autouse=True)
def _published_documentation(monkeypatch):
    monkeypatch.delenv("SKLEARN_ADAALLOC_DOCS", raising=False)


def unfitted(name):
    """An estimator with default parameters, and a Ridge where there is no default."""
    parameters = inspect.signature(ESTIMATORS[name]).parameters.values()
    required = [p.name for p in parameters if p.default is p.empty]
    return ESTIMATORS[name](**dict.fromkeys(required, Ridge()))


def links(estimator):
    return re.findall(r'href="([^"]*)"', estimator._repr_html_())


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_html_representation_links_to_the_estimators_page(name):
    assert f"{STABLE}/{HOMES[name]}.{name}.html" in links(unfitted(name))


def test_names_link_to_where_users_import_them_from():
    assert f"{STABLE}/sklearn_adaalloc.DummyAllocator.html" in links(DummyAllocator())
    decoder = BestOfK(None, None, None)
    assert f"{STABLE}/sklearn_adaalloc.decoding.BestOfK.html" in links(decoder)


def test_the_parts_of_a_pipeline_link_to_their_pages():
    found = links(make_pipeline(HiddenStateFeaturizer(), AdaptiveAllocator()))
    names = ["HiddenStateFeaturizer", "AdaptiveAllocator"]
    assert {f"{STABLE}/sklearn_adaalloc.{name}.html" for name in names} <= set(found)


@pytest.mark.skipif(
    not any("#:~:text=alpha" in link for link in links(Ridge())),
    reason="this scikit-learn links no parameters",
)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_each_parameter_links_to_its_own_description(name):
    start = f"{STABLE}/{HOMES[name]}.{name}.html#:~:text="
    found = [unquote(link) for link in links(unfitted(name))]
    texts = {link.removeprefix(start) for link in found if link.startswith(start)}
    documented = documented_parameters(ESTIMATORS[name].__doc__)
    assert texts == {f"{name},-{what}" for name, what in documented.items()}


@pytest.mark.parametrize(
    ("address", "start"),
    [
        ("https://localhost:8000/{new}", "https://localhost:8000/{new}/generated"),
        ("https://localhost:8000/", "https://localhost:8000/generated"),
        ("../", "../generated"),
    ],
)
def test_another_copy_of_the_documentation_can_be_named(monkeypatch, address, start):
    monkeypatch.setenv("SKLEARN_ADAALLOC_DOCS", address)
    assert f"{start}/sklearn_adaalloc.DummyAllocator.html" in links(DummyAllocator())


def test_classes_of_others_have_no_page_here():
    class MyAllocator(DummyAllocator):
        pass

    assert links(MyAllocator()) == []


def test_links_are_no_part_of_pickles():
    state = pickle.dumps(DummyAllocator())
    assert b"doc_link" not in state
    assert vars(pickle.loads(state)) == vars(DummyAllocator())


def test_every_example_has_its_place_in_the_gallery():
    order = DOCS / "_extensions" / "gallery_order.py"
    names = re.findall(r'"(plot_\w+\.py)"', order.read_text(encoding="utf-8"))
    examples = (DOCS / "examples").glob("plot_*.py")
    assert sorted(names) == sorted(example.name for example in examples)
