"""Links to scikit-learn's pages, without asking its site while building."""

from docutils import nodes

PAGES = "https://scikit-learn.org/stable/modules/generated"


def _link(app, env, node, content):
    target = node.get("reftarget", "")
    if not target.startswith("sklearn."):
        return None
    page = f"{PAGES}/{target}.html"
    return nodes.reference("", "", content, internal=False, refuri=page)


def setup(app):
    """Called by Sphinx."""
    app.connect("missing-reference", _link)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
