"""Formulas as MathML, which browsers show by themselves: no script, no network."""

from docutils import nodes
from docutils.utils.math import MathError, latex2mathml
from sphinx.util import logging

logger = logging.getLogger(__name__)


def _to_mathml(node, *, as_block):
    source = node.astext().replace(r"\dots", r"\ldots")
    try:
        return latex2mathml.tex2mathml(source, as_block=as_block)
    except MathError as error:
        logger.warning("formula %r: %s", source, error, location=node)
        return nodes.literal(text=source).astext()


def _visit_inline(translator, node):
    translator.body.append(_to_mathml(node, as_block=False))
    raise nodes.SkipNode


def _visit_block(translator, node):
    formula = _to_mathml(node, as_block=True)
    translator.body.append(f'<div class="formula">{formula}</div>\n')
    raise nodes.SkipNode


def setup(app):
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", (_visit_inline, None), (_visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
