"""The demo as a stranger runs it: the shipped bundle on the shipped parts, through an embedded broker."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

from edgeflow.contracts.datasets.find_parts import find_parts


def demo(repository: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "demo.run", *options],
        cwd=repository / "tools",
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


def test_demo_inspects_every_part_and_shows_what_it_rejected(repository: Path, tmp_path: Path) -> None:
    parts = find_parts(repository / "tools" / "demo" / "parts")
    done = demo(repository, "--output", str(tmp_path / "out"), "--period-ms", "300")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(parts)} of {len(parts)} results" in done.stdout
    right = [int(share) for share in re.findall(r"│ +(\d+)% +│", done.stdout)]
    assert len(right) == len({part.label for part in parts})
    assert (tmp_path / "out" / "rejected.png").stat().st_size > 10_000
    page = (tmp_path / "out" / "rejected.html").read_text()
    pictures = re.findall(r'src="([^"]+)"', page)
    assert pictures
    assert all((tmp_path / "out" / picture).is_file() for picture in pictures)


def test_port_in_use_is_said_so(repository: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = demo(repository, "--output", str(tmp_path / "out"), "--port", str(port))
    assert done.returncode == 2
    assert f"port {port} is in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_shipped_demo_fits_its_size(repository: Path) -> None:
    folder = repository / "tools" / "demo"
    assert (folder / "housing.bundle").stat().st_size <= 10e6
    assert sum(path.stat().st_size for path in (folder / "parts").rglob("*")) <= 12e6
