"""Figures of the computer, from files as the kernel has them."""

from __future__ import annotations

from pathlib import Path

from edgeflow.metrics.system import resident_bytes, temperatures_c


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


def test_memory_of_this_process_grows_with_what_it_holds() -> None:
    before = resident_bytes()
    held = b"\1" * 50_000_000
    assert resident_bytes() - before > 40_000_000
    assert held
