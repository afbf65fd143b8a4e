"""Files that configure devices, and the line controller, of an installed package or of a checkout."""

from __future__ import annotations

import re
from pathlib import Path

from edgeflow.errors import StorageError, UsageError

__all__ = ["choose_files", "device_files", "summary"]

_PACKAGE = Path(__file__).parent
_INSTALLED = _PACKAGE / "firmware_configs"
_CONTROLLER = "line_controller"
_NO_COMMENT = {
    "grafana/edgeflow-dashboard.json": "A dashboard of all boxes for Grafana: Dashboards, New, Import.",
    "grafana/edgeflow-results.json": "A dashboard of the collector's database for Grafana.",
    "plc/node-red-flow.json": "The rules of plc/README.md as a flow for Node-RED.",
}
_OPENING = re.compile(r'^(?:"""|#)\s*')


def device_files() -> dict[str, Path]:
    """Return all files by name, such as ``boxes/usb5.yaml``, in the order of their names.

    The line controller is the folder ``line_controller``: a program and the package that it thinks with.

    Raises:
        StorageError: the installation lacks them.
    """
    if _INSTALLED.is_dir():
        found = _below(_INSTALLED)
    else:
        checkout = _PACKAGE.parent
        tools = {
            name: path
            for name, path in _below(checkout / "tools").items()
            if name.startswith(("line_control/", "line_controller.py"))
        }
        found = _below(checkout / "firmware_configs") | {f"{_CONTROLLER}/{n}": p for n, p in tools.items()}
    if not found:
        raise StorageError(f"{_INSTALLED}: is missing or empty; install edgeflow again")
    return dict(sorted(found.items()))


def choose_files(names: tuple[str, ...]) -> dict[str, Path]:
    """Return the named files by the path at which they lie below the folder to write to.

    A file lies there under its last name, and what is below a folder as it lies below that folder. Without
    names all files are meant, as they lie.

    Raises:
        UsageError: nothing has such a name, or two files would lie at one path.
    """
    files = device_files()
    if not names:
        return files
    chosen: dict[str, Path] = {}
    for name in (given.strip("/") for given in names):
        for target, path in _named(files, name).items():
            if chosen.setdefault(target, path) != path:
                raise UsageError(f"two of the named files are called {target}; write them to two folders")
    return chosen


def summary(name: str, path: Path) -> str:
    """First sentence of a file about itself, without its comment mark."""
    with path.open(encoding="utf-8") as file:
        return _NO_COMMENT.get(name) or _OPENING.sub("", file.readline()).rstrip().removesuffix('"""')


def _named(files: dict[str, Path], name: str) -> dict[str, Path]:
    if name in files:
        return {Path(name).name: files[name]}
    below = {n.removeprefix(f"{name}/"): path for n, path in files.items() if n.startswith(f"{name}/")}
    if not below:
        raise UsageError(f"no file or folder is called {name!r}; 'edgeflow config list' names them")
    return below


def _below(root: Path) -> dict[str, Path]:
    return {
        path.relative_to(root).as_posix(): path
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
