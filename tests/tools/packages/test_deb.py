"""The Debian package is installed, run as its user, updated, removed and purged, in a copy of this system.

The packages that edgeflow needs are borrowed from this environment; everything else is what ships.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import edgeflow
from tests.support.spare_root import SpareRoot, SpareRootError

pytestmark = pytest.mark.long

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
BORROWED, INTERPRETER = "/srv/site-packages", "/srv/python"
BOX = "/etc/edgeflow/box.yaml"


@pytest.fixture(scope="module")
def packages(repository: Path, wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two revisions of the package."""
    if shutil.which("dpkg-deb") is None:
        pytest.skip("no dpkg-deb here")
    folder = tmp_path_factory.mktemp("deb")
    python = Path("/usr/bin", PYTHON)
    for revision in ("1", "2"):
        build = [sys.executable, "-m", "packages.deb", wheels, "-o", folder, "--level", "1"]
        build += ["--revision", revision, "--borrow", BORROWED]
        build += [] if python.exists() else ["--python", f"{INTERPRETER}/bin/{PYTHON}"]
        environment = {**os.environ, "PYTHONPATH": str(repository / "tools")}
        subprocess.run([*map(str, build)], check=True, capture_output=True, env=environment)
    first, second = sorted(folder.glob("*.deb"))
    return first, second


@pytest.fixture(scope="module")
def root(
    packages: tuple[Path, Path], repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SpareRoot]:
    """A system to install in."""
    binds = {
        BORROWED: Path(np.__file__).parents[1],
        INTERPRETER: Path(sys.base_prefix),
        "/srv/packages": packages[0].parent,
        "/srv/demo": repository / "tools" / "demo",
    }
    try:
        made = SpareRoot(tmp_path_factory.mktemp("system"), binds)
    except SpareRootError as problem:
        pytest.skip(f"no copy of this system to install in: {problem}")
    yield made
    made.close()


def install(root: SpareRoot, package: Path) -> str:
    return root.run("dpkg", "--force-unsafe-io", "-i", f"/srv/packages/{package.name}").stdout


def write(root: SpareRoot, path: str, text: str) -> None:
    root.run("sh", "-c", f"cat > {path} <<'END'\n{text}\nEND")


def mode(root: SpareRoot, path: str) -> str:
    return root.run("stat", "-c", "%a %U:%G", path).stdout.strip()


def is_there(root: SpareRoot, path: str) -> bool:
    return root.run("test", "-e", path, check=False).returncode == 0


def write_demo_box(root: SpareRoot, repository: Path) -> None:
    """The demo's box file as an integrator would write it for this system."""
    text = (repository / "tools" / "demo" / "box.yaml").read_text()
    for old, new in (
        ("bundle: housing.bundle", "bundle: /srv/demo/housing.bundle"),
        ("parts: parts", "parts: /srv/demo/parts"),
        ("../../demo_output", "/var/lib/edgeflow"),
    ):
        assert old in text
        text = text.replace(old, new)
    write(root, BOX, text)


def test_a_box_is_installed_run_updated_removed_and_purged(
    root: SpareRoot, packages: tuple[Path, Path], repository: Path
) -> None:
    # Installed: it says how to go on; the service's user owns its folders alone.
    assert "edgeflow config show" in install(root, packages[0])
    assert root.run("dpkg", "--verify", "edgeflow").stdout == ""
    assert mode(root, "/etc/edgeflow") == "750 root:edgeflow"
    assert mode(root, "/var/lib/edgeflow") == "750 edgeflow:edgeflow"
    told = root.run("edgeflow", "--version", user="edgeflow").stdout
    assert told == f"edgeflow, version {edgeflow.__version__}\n"
    assert "systemd/edgeflow.service" in root.run("edgeflow", "config", "list", user="edgeflow").stdout
    where = "import edgeflow; print(edgeflow.__file__, edgeflow.__cached__)"
    assert (
        root.run("/opt/edgeflow/bin/python", "-c", where, user="edgeflow").stdout.count("/opt/edgeflow/lib/")
        == 2
    )
    if shutil.which("systemd-analyze"):
        beside = ("fleet", "modbus", "opcua", "web")
        units = ("edgeflow.service", *(f"edgeflow-{name}.service" for name in beside))
        assert root.run("systemd-analyze", "verify", "--man=no", *units).stderr == ""
        root.run("systemd-analyze", "security", "--offline=true", "--threshold=20", *units)  # of 100

    # Run as the service's user, who may write only below /var: one part, its result in the outbox.
    write_demo_box(root, repository)
    ran = root.run("edgeflow", "run", "--once", BOX, user="edgeflow")
    assert "1 result waits in the outbox" in ran.stdout
    assert mode(root, "/var/lib/edgeflow/outbox.db").endswith("edgeflow:edgeflow")

    # Updated: what people wrote stays, without a question.
    write(root, "/etc/default/edgeflow", "TZ=Europe/Berlin")
    install(root, packages[1])
    assert root.run("dpkg-query", "-W", "-f", "${Version}", "edgeflow").stdout == f"{edgeflow.__version__}-2"
    assert root.run("cat", "/etc/default/edgeflow").stdout == "TZ=Europe/Berlin\n"
    assert is_there(root, BOX)
    install(root, packages[0])  # and back
    assert root.run("dpkg-query", "-W", "-f", "${Version}", "edgeflow").stdout == f"{edgeflow.__version__}-1"
    assert root.run("cat", "/etc/default/edgeflow").stdout == "TZ=Europe/Berlin\n"

    # Removed: the program is gone, settings and data stay; purged: data stay, and it says where.
    root.run("dpkg", "--remove", "edgeflow")
    assert not is_there(root, "/opt/edgeflow")
    assert not is_there(root, "/usr/lib/systemd/system/edgeflow.service")
    assert is_there(root, "/etc/default/edgeflow")
    purged = root.run("dpkg", "--purge", "edgeflow").stdout
    assert "/var/lib/edgeflow stays" in purged
    assert not is_there(root, "/etc/default/edgeflow")
    assert is_there(root, BOX)
    assert is_there(root, "/var/lib/edgeflow/outbox.db")
