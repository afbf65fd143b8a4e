"""The script that makes the demo's bundle: an earlier one is replaced, and only by one that was verified."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

# As the command does: export never replaces a file, and verify may find a bundle wrong.
EDGEFLOW = """#!/bin/sh
case $1 in
    export) [ ! -e "$4" ] || exit 2; echo new > "$4" ;;
    verify) [ ! -e wrong ] || exit 3 ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path, repository: Path) -> Path:
    """A folder with the script and, as its commands, ones that only keep to export's rules."""
    (tmp_path / "tools" / "demo" / "parts").mkdir(parents=True)
    (tmp_path / "runs" / "parts" / "foreground").mkdir(parents=True)
    (tmp_path / "runs" / "demo").mkdir()
    (tmp_path / "bin").mkdir()
    shutil.copy(repository / "tools" / "demo" / "build.sh", tmp_path / "tools" / "demo")
    for name, text in (("edgeflow", EDGEFLOW), ("python", "#!/bin/sh\n")):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "tools" / "demo" / "housing.bundle").write_text("old\n")
    return tmp_path


def build(checkout: Path) -> int:
    path = f"{checkout / 'bin'}:/usr/bin:/bin"
    script = ["sh", str(checkout / "tools" / "demo" / "build.sh")]
    return subprocess.run(script, check=False, capture_output=True, env={"PATH": path}).returncode


def test_bundle_of_the_demo_is_replaced_however_often_it_is_built(checkout: Path) -> None:
    for _ in range(2):
        assert build(checkout) == 0
        assert (checkout / "tools/demo/housing.bundle").read_text() == "new\n"


def test_bundle_that_does_not_verify_replaces_nothing_and_may_be_built_again(checkout: Path) -> None:
    (checkout / "wrong").touch()
    assert [build(checkout), build(checkout)] == [3, 3]
    assert (checkout / "tools/demo/housing.bundle").read_text() == "old\n"
