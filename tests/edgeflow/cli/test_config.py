"""``edgeflow config`` lists, shows and writes, and replaces a file only on request."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner, Result

from edgeflow.cli.main import cli
from edgeflow.errors import UsageError


def config(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["config", *map(str, arguments)], env={"COLUMNS": "80"})


def test_the_list_fits_a_terminal_and_names_the_line_controller_once() -> None:
    lines = config("list").output.splitlines()
    assert max(map(len, lines)) <= 80
    assert sum(line.startswith("line_controller") for line in lines) == 1
    assert any(line.startswith("systemd/edgeflow.service") for line in lines)


def test_a_file_is_shown_letter_by_letter(repository: Path) -> None:
    shown = config("show", "boxes/usb5.yaml").output
    assert shown == (repository / "firmware_configs" / "boxes" / "usb5.yaml").read_text("utf-8")
    assert isinstance(config("show", "boxes").exception, UsageError)


def test_nothing_is_replaced_without_force_and_nothing_written_beside_it(tmp_path: Path) -> None:
    (tmp_path / "usb5.yaml").write_text("mine")
    refused = config("write", "boxes", "-o", tmp_path).exception
    assert isinstance(refused, UsageError)
    assert "--force" in str(refused)
    assert [file.name for file in tmp_path.iterdir()] == ["usb5.yaml"]
    assert config("write", "boxes", "-o", tmp_path, "--force").exit_code == 0
    assert (tmp_path / "usb5.yaml").read_text() != "mine"
    assert (tmp_path / "gige5.yaml").is_file()


def test_what_is_written_is_readable_by_other_programs_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        assert config("write", "mosquitto/edgeflow.conf", "-o", tmp_path).exit_code == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "edgeflow.conf").stat().st_mode) == 0o644


def test_a_written_line_controller_runs_from_its_folder(tmp_path: Path) -> None:
    assert config("write", "line_controller", "-o", tmp_path).exit_code == 0
    help_ = [sys.executable, "line_controller.py", "--help"]
    done = subprocess.run(help_, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "--trigger-ms" in done.stdout
