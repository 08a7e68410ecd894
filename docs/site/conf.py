"""Sphinx's settings for the site; `docs/site/build.py` stages the sources and runs it."""

from __future__ import annotations

project = "hwprm"
author = "the hwprm authors"
extensions = ["myst_parser"]
root_doc = "docs/index"
html_theme = "furo"
html_title = "hwprm"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_show_copyright = False
python_maximum_signature_line_length = 60
#: Links to headings, spelt as in the repository's own view of the pages.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
#: Code blocks without a language are commands, tables of terminals and formulas.
highlight_language = "text"
#: Pages of the same names in two folders (README) are no error, nor is JSON or TOML with dots in it.
suppress_warnings = ["misc.highlighting_failure"]
