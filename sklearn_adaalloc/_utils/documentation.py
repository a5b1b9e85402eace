"""Links from the HTML representation of an estimator to its documentation page."""

import os
from importlib import import_module

DOCUMENTATION = "https://sklearn-adaalloc.readthedocs.io/en/stable"
# Environment variable for another copy of the documentation, such as a new build.
VARIABLE = "SKLEARN_ADAALLOC_DOCS"


class DocumentationLinkMixin:
    """Link the HTML representation of an estimator to its page of the API reference.

    scikit-learn fills `_doc_link_template` with the values of
    `_doc_link_url_param_generator`. Classes of other packages that inherit from this
    one get no link, because they have no page here.
    """

    _doc_link_module = "sklearn_adaalloc"
    _doc_link_template = "{documentation}/generated/{module}.{name}.html"

    def _doc_link_url_param_generator(self):
        package, room = type(self).__module__.split(".")[:2]
        name = type(self).__name__
        at_top = name in import_module(package).__all__
        return {
            "documentation": os.environ.get(VARIABLE, DOCUMENTATION).rstrip("/"),
            "module": package if at_top else f"{package}.{room}",
            "name": name,
        }
