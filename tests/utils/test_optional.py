import json

import pytest

from sklearn_adaalloc._utils.optional import import_optional


def test_what_is_installed_is_imported():
    assert import_optional("json", extra="plot") is json


@pytest.mark.parametrize("name", ["no_such_module", "no_such_module.pyplot"])
def test_what_is_missing_says_how_to_install_it(name):
    with pytest.raises(
        ImportError,
        match=r"no_such_module is needed.*pip install 'sklearn-adaalloc\[plot\]'",
    ) as caught:
        import_optional(name, extra="plot")
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)
