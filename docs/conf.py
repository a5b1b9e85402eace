"""Settings of the documentation: `python -m sphinx -W -b html docs docs/_build/html`.

Nothing is fetched while it is built. Examples run with one thread and draw into files.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
# Estimators shown on a gallery page lead to the API pages beside it.
os.environ.setdefault("SKLEARN_ADAALLOC_DOCS", "../")

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

from class_members import public_members

import sklearn_adaalloc

project = "sklearn-adaalloc"
author = "The sklearn-adaalloc developers"
copyright = author
version = release = sklearn_adaalloc.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "mathml",
    "sklearn_links",
]
exclude_patterns = ["_build", "_templates", "examples"]
templates_path = ["_templates"]
default_role = "literal"
smartquotes = False  # defaults are copied, and found by their text
html_math_renderer = "mathml"
pygments_style = "friendly"

# API

autosummary_generate = True
autosummary_context = {"public_members": public_members(sklearn_adaalloc)}
numpydoc_show_class_members = False  # the templates list them

# Examples

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "filename_pattern": "plot_",
    "within_subsection_order": "gallery_order.TaughtOrder",
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("sklearn_adaalloc",),
    "show_memory": False,
    "min_reported_time": 60,
    "remove_config_comments": True,
    "show_signature": False,
}

# Pages

html_theme = "pydata_sphinx_theme"
html_title = f"sklearn-adaalloc {release}"
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_show_sourcelink = False
html_copy_source = False
toc_object_entries_show_parents = "hide"
html_theme_options = {
    "logo": {"text": "sklearn-adaalloc"},
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {"changelog": [], "reproduction": []}

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True
