"""Sphinx configuration: `sphinx-build -W docs docs/_build/html`, without network."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_extensions"), str(HERE.parent)]

import deepinit  # noqa: E402

project = "deepinit"
author = "The deepinit developers"
copyright = "2026, the deepinit developers"
version = release = deepinit.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.mathjax",
    "sphinx_design",
    "sphinxcontrib.bibtex",
    "gallery",
    "reference",
    "coverage_tables",
]
exclude_patterns = ["_build", "_extensions", "gallery/examples"]
bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "unsrt"
bibtex_reference_style = "author_year"
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# Code cells run when a page is built; results are cached by their source.
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE / "_build" / "cells")
nb_execution_raise_on_error = False  # a warning, an error with -W: all failures in one build
nb_execution_show_tb = True
nb_execution_timeout = 600
nb_merge_streams = True

html_theme = "pydata_sphinx_theme"
html_title = "deepinit"
html_static_path = ["_static"]
html_css_files = ["deepinit.css"]
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}
html_show_sourcelink = False
html_sidebars = {"index": [], "gallery/**": []}
