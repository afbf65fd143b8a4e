"""Aravis through the system's own GObject bindings, also from a virtual environment without them."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from edgeflow.errors import CameraError

__all__ = ["INSTALL", "load_aravis"]

_DEBIAN = "/usr/lib/python3/dist-packages"
INSTALL = "install them: sudo apt-get install gir1.2-aravis-0.8 python3-gi"


def load_aravis() -> tuple[Any, type[Exception]]:
    """The Aravis module and the error that its calls raise.

    Raises:
        CameraError: Aravis or the bindings are not installed, or belong to another Python.
    """
    try:
        gi = _bindings()
        gi.require_version("Aravis", "0.8")
        aravis = importlib.import_module("gi.repository.Aravis")
        failure: type[Exception] = importlib.import_module("gi.repository.GLib").Error
    except (ImportError, ValueError, AttributeError) as cause:
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise CameraError(
            f"GenICam cameras need Aravis and its Python bindings ({cause}); {INSTALL}; where the system's "
            f"Python is not {python}: pip install 'edgeflow[genicam]'"
        ) from cause
    return aravis, failure


def _bindings() -> Any:
    try:
        return importlib.import_module("gi")
    except ImportError:
        # Visible for this one import only: everything else stays what the environment chose.
        sys.path.append(_DEBIAN)
        try:
            return importlib.import_module("gi")
        finally:
            sys.path.remove(_DEBIAN)
