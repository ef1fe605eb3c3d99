"""How the documentation is built: `make docs`."""

import os

import skphx

project = "skphx"
author = "The skphx developers"
copyright = author
version = release = skphx.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_gallery.gen_gallery",
]
# Links into the documentation of others need their servers: only where somebody asks for them.
if os.environ.get("SKPHX_DOCS_ONLINE"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "numpy": ("https://numpy.org/doc/stable/", None),
        "python": ("https://docs.python.org/3/", None),
        "scipy": ("https://docs.scipy.org/doc/scipy/", None),
        "sklearn": ("https://scikit-learn.org/stable/", None),
    }

exclude_patterns = ["_build", "generated/gallery/**.ipynb", "generated/gallery/**.py"]
templates_path = ["_templates"]
default_role = "literal"

autosummary_generate = True
# What a module offers is what its __all__ says, wherever it is defined.
autosummary_ignore_module_all = False
autosummary_imported_members = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "dollarmath"]

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "generated/gallery",
    # plot_demo.py is `make demo`: minutes, where the others take seconds. It is shown, not run.
    "filename_pattern": r"plot_(?!demo\.py)",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_signature": False,
    "remove_config_comments": True,
    "doc_module": ("skphx",),
    "min_reported_time": 1,
}

html_theme = "pydata_sphinx_theme"
html_title = f"skphx {release}"
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": False,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
}


def skip_member(app, what, name, obj, skip, options):
    """Leave out what scikit-learn writes for each estimator: requests of metadata."""
    return True if name.startswith("set_") and name.endswith("_request") else None


def setup(app):
    """Connect the above."""
    app.connect("autodoc-skip-member", skip_member)
