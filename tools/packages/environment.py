"""The environment ``/opt/edgeflow``, made in a staging folder from a folder of wheels."""

from __future__ import annotations

import compileall
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path

PLACE = Path("/opt/edgeflow")
"""Folder of the environment on the box."""

_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
PYTHON = Path(f"/usr/bin/python{_VERSION}")
"""The distribution's interpreter of this Python's version; wheels are for one version only."""

_PROGRAM = f"""#!{PLACE}/bin/python3
import sys

from edgeflow.cli.main import main

sys.exit(main())
"""


def make_environment(wheels: Path, stage: Path, *, python: Path = PYTHON, borrow: Path | None = None) -> Path:
    """Install the wheels below ``stage`` as they will lie on the box; returns the folder of Python packages.

    Args:
        python: interpreter on the box.
        borrow: a folder of Python packages on the box that holds what edgeflow needs; then only edgeflow is
            installed. For tests.
    """
    place = stage / PLACE.relative_to("/")
    site = place / "lib" / f"python{_VERSION}" / "site-packages"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    pip += ["--find-links", str(wheels), "--no-compile", "--no-warn-script-location", "--target", str(site)]
    chosen = (
        ["--no-deps", "edgeflow"] if borrow else ["--require-hashes", "-r", str(wheels / "requirements.txt")]
    )
    subprocess.run([*pip, *chosen], check=True)
    shutil.rmtree(site / "bin", ignore_errors=True)  # programs of others, for this computer's Python
    if borrow:
        (site / "borrowed.pth").write_text(f"{borrow}\n")
    _make_programs(place, python)
    # Nobody may write there on the box, so Python finds its compiled files, which it does not check.
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(
        site, quiet=2, workers=1, stripdir=str(stage), prependdir="/", invalidation_mode=mode
    )
    return site


def _make_programs(place: Path, python: Path) -> None:
    programs = place / "bin"
    programs.mkdir()
    (programs / "python3").symlink_to(python)
    (programs / "python").symlink_to("python3")
    (programs / "edgeflow").write_text(_PROGRAM)
    (programs / "edgeflow").chmod(0o755)
    settings = {"home": python.parent, "include-system-site-packages": "false", "version": _VERSION}
    (place / "pyvenv.cfg").write_text("".join(f"{key} = {value}\n" for key, value in settings.items()))
