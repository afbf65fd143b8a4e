"""The Python snippets of the tutorial run as they stand, one after the other."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import edgeflow
import edgeflow_export
from tests.support.markdown import blocks
from tests.support.tiny import TinyProduct, search_path


@pytest.mark.timeout(900)  # trains and exports
def test_snippets_of_the_tutorial_run(tiny: TinyProduct, repository: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny.parts, tmp_path / "parts")
    shutil.copy(tiny.bundle, tmp_path / "disc.bundle")
    (tmp_path / "recipe.yaml").write_text(
        tiny.recipe.read_text().replace(str(tiny.parts), str(tmp_path / "parts"))
    )
    page = (repository / "docs" / "tutorials" / "python-api.md").read_text()
    snippets = [body for _, kind, body in blocks(page) if kind == "python"]
    assert len(snippets) == 4
    # A box's bundle is read without torch.
    snippets.insert(2, "import sys; assert 'torch' not in sys.modules")
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(snippets)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": search_path(), "XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
        timeout=800,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert any(line.startswith("spot") and " NG " in line for line in lines)
    assert sum("highest at" in line for line in lines) == 3
    assert "openvino-fp32" in lines[-1]


@pytest.mark.parametrize("package", [edgeflow, edgeflow_export])
def test_every_public_name_is_there(package: object) -> None:
    for name in vars(package)["__all__"]:
        assert getattr(package, name).__name__ == name


def test_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="frobnicate"):
        edgeflow.frobnicate  # noqa: B018
