"""A folder of wheels as a box without a network gets it: pinned by hash, installed from it alone."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import edgeflow
from packages.wheels import write_requirements


@pytest.fixture
def folder(wheels: Path, tmp_path: Path) -> Path:
    """A copy with its requirements; the other wheels are not there, and not asked for."""
    copied = tmp_path / "wheels"
    shutil.copytree(wheels, copied)
    assert write_requirements(copied, "openvino,web") == 1
    return copied


def install(folder: Path, repository: Path) -> subprocess.CompletedProcess[str]:
    """The line of the page, for edgeflow alone, into a folder beside."""
    page = (repository / "docs/how-to/install.md").read_text("utf-8")
    (line,) = re.findall(r"^pip (install --no-index .*)$", page, re.MULTILINE)
    words = [*shlex.split(line), "--no-deps", "--no-compile", "--target", str(folder.parent / "box")]
    return subprocess.run(
        [sys.executable, "-m", "pip", *words], cwd=folder, capture_output=True, text=True, check=False
    )


def test_the_line_of_the_page_installs_from_the_folder_alone(folder: Path, repository: Path) -> None:
    done = install(folder, repository)
    assert done.returncode == 0, done.stderr
    assert (folder / "requirements.txt").read_text().startswith("edgeflow[openvino,web]==")
    shown = subprocess.run(
        [sys.executable, "-c", "import edgeflow; print(edgeflow.__file__, edgeflow.__version__)"],
        cwd=folder.parent / "box",
        capture_output=True,
        text=True,
        check=True,
    )
    place, version = shown.stdout.split()
    assert Path(place).is_relative_to(folder.parent / "box")
    assert version == edgeflow.__version__


def test_a_wheel_that_was_changed_or_is_missing_is_named(folder: Path, repository: Path) -> None:
    (wheel,) = folder.glob("*.whl")
    with wheel.open("ab") as file:
        file.write(b"\0")
    changed = install(folder, repository)
    assert changed.returncode != 0
    assert "DO NOT MATCH THE HASHES" in changed.stderr
    wheel.unlink()
    missing = install(folder, repository)
    assert missing.returncode != 0
    assert "edgeflow" in missing.stderr
    assert not (folder.parent / "box").exists()
