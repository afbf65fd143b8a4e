"""The package as a box without a network gets it: a wheel, installed from a folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import edgeflow
from edgeflow.device_files import device_files


def python(*words: object, folder: Path, path: Path | None = None) -> str:
    """Run python away from the checkout; packages of ``path`` come first."""
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the checkout, so that nothing of an earlier build gets into it."""
    folder = tmp_path_factory.mktemp("wheel")
    (folder / "tools").mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "tools/line_controller.py"):
        shutil.copy(repository / name, folder / name)
    for name in ("edgeflow", "export/edgeflow_export", "firmware_configs", "tools/line_control"):
        shutil.copytree(repository / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    python("-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index", ".", folder=folder)
    (made,) = folder.glob("edgeflow-*.whl")
    return made


def test_wheel_holds_every_file_of_both_packages(wheel: Path, repository: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        str(file.relative_to(root))
        for root, package in ((repository, "edgeflow"), (repository / "export", "edgeflow_export"))
        for file in (root / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    devices = {f"edgeflow/firmware_configs/{name}" for name in device_files()}
    assert (wanted | devices) - names == set()
    assert {"edgeflow/py.typed", "edgeflow_export/report/templates/report.html.j2"} <= names
    assert not {name for name in names if name.startswith(("tests/", "tools/"))}


def test_package_installed_from_a_folder_runs_without_the_checkout(
    wheel: Path, repository: Path, tmp_path: Path
) -> None:
    target = tmp_path / "installed"
    install = ["install", "-q", "--no-index", "--no-deps", "--find-links", wheel.parent, "--target", target]
    python("-m", "pip", *install, "edgeflow", folder=tmp_path)
    where = "import edgeflow, edgeflow_export; print(edgeflow.__file__, edgeflow_export.__file__)"
    assert all(
        Path(file).is_relative_to(target)
        for file in python("-c", where, folder=tmp_path, path=target).split()
    )
    version = python("-m", "edgeflow.cli", "--version", folder=tmp_path, path=target)
    assert version.strip() == f"edgeflow, version {edgeflow.__version__}"
    listed = python("-m", "edgeflow.cli", "config", "list", "--json", folder=tmp_path, path=target)
    assert listed == python("-m", "edgeflow.cli", "config", "list", "--json", folder=repository)
    bundle = repository / "tools" / "demo" / "housing.bundle"
    shown = python("-m", "edgeflow.cli", "inspect", bundle, "--json", folder=tmp_path, path=target)
    assert json.loads(shown)["views"]
