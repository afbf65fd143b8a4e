"""Sphinx: Markdown pages, warnings as errors (``make docs``)."""

from __future__ import annotations

from edgeflow import __version__

project = "edgeflow"
author = "the edgeflow authors"
release = version = __version__
extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"edgeflow {__version__}"
nitpicky = True
