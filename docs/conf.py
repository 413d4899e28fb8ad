"""How Sphinx makes the pages: ``sphinx-build -W --keep-going docs build/docs``.

Nothing is fetched, neither here nor by a reader.  Generated pages go to the folder ``api``, which is not kept.
"""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from reference_tables import write_pages  # noqa: E402

write_pages(HERE / "api")

project = "skyloom"
author = "the skyloom developers"
version = release = version_of("skyloom")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # its own copy of MathJax, so that formulas show without a network
]

# Pages. The tables of the README's kind have long lines, and anchors are those that GitHub makes of headings.
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 4
exclude_patterns = ["_templates"]
suppress_warnings = ["myst.header"]
default_role = "code"

# The reference: what each package exports, in the order of its __all__, with the types of its signatures.
autosummary_generate = True
autodoc_member_order = "groupwise"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
autodoc_preserve_defaults = True
numpydoc_show_class_members = False
maximum_signature_line_length = 100

html_theme = "furo"
html_title = f"skyloom {version}"
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}
templates_path = ["_templates"]
