"""Figures of the computer, from files as the kernel has them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from edgeflow.metrics.system import temperatures_c


def zone(folder: Path, name: str, kind: str, temp: str) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "type").write_text(f"{kind}\n")
    (folder / name / "temp").write_text(temp)


def test_sensors_are_read_in_degrees_and_one_that_does_not_answer_is_left_out(tmp_path: Path) -> None:
    zone(tmp_path, "thermal_zone0", "x86_pkg_temp", "51000\n")
    zone(tmp_path, "thermal_zone1", "x86_pkg_temp", "47500\n")
    zone(tmp_path, "thermal_zone2", "iwlwifi", "")
    (tmp_path / "thermal_zone3").mkdir()
    assert temperatures_c(tmp_path) == {
        "thermal_zone0 x86_pkg_temp": 51.0,
        "thermal_zone1 x86_pkg_temp": 47.5,
    }


def test_a_computer_without_sensors_has_none(tmp_path: Path) -> None:
    assert temperatures_c(tmp_path / "none") == {}


def test_memory_of_a_process_grows_with_what_it_holds() -> None:
    """In a process of its own: in this one, what other tests left is freed at any moment."""
    program = (
        "from edgeflow.metrics.system import resident_bytes\n"
        "before = resident_bytes()\n"
        "held = b'\\1' * 50_000_000\n"
        "print(resident_bytes() - before, len(held))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[0]) > 40_000_000
