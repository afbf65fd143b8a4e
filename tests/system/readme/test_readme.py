"""The README's commands and files, as a new user would type and write them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from tests.support.markdown import blocks, commands
from tests.support.tiny import TinyProduct, search_path

if TYPE_CHECKING:
    from tests.system.conftest import Broker


@pytest.fixture(scope="module")
def workplace(tiny: TinyProduct, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the README's parts and files."""
    folder = tmp_path_factory.mktemp("workplace")
    shutil.copytree(tiny.parts, folder / "parts")
    for _, kind, body in blocks((repository / "README.md").read_text()):
        if kind == "yaml":
            name = body.splitlines()[0].removeprefix("# ")
            (folder / name).write_text(body)
    return folder


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "edgeflow.cli", *command[1:]],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        timeout=250,
        env={**os.environ, "PYTHONPATH": search_path(), "XDG_CACHE_HOME": str(folder / "cache")},
    )
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def section_commands(repository: Path, start: str) -> list[list[str]]:
    found = [
        command
        for section, kind, body in blocks((repository / "README.md").read_text())
        if kind == "sh" and section.startswith(start)
        for command in commands(body)
    ]
    assert found, f"README has no commands under '{start}'"
    return found


@pytest.mark.timeout(1200)  # trains, exports and runs a box: minutes on a busy machine
def test_readme_commands_of_all_three_readers(workplace: Path, repository: Path, broker: Broker) -> None:
    """One after the other, since each reader needs what the one before has made."""
    for command in section_commands(repository, "The workstation"):
        run(command, workplace)
    box = workplace / "box.yaml"
    box.write_text(box.read_text().replace("port: 1883", f"port: {broker.port}"))
    (monitor,) = section_commands(repository, "The line controller")
    monitor = [word.replace("1883", str(broker.port)) for word in monitor]
    watching = threading.Thread(target=run, args=(monitor, workplace))
    watching.start()
    for command in section_commands(repository, "The box"):
        run(command, workplace)
    watching.join(60)
    assert not watching.is_alive(), "the monitor did not see three results"


def test_every_command_is_in_the_readme(repository: Path) -> None:
    from edgeflow.cli.main import cli

    readme = (repository / "README.md").read_text()
    assert [name for name in cli.list_commands(click.Context(cli)) if f"edgeflow {name} " not in readme] == []


def test_no_placeholder_is_left(repository: Path) -> None:
    assert re.findall(r"@[A-Z]+@", (repository / "README.md").read_text()) == []
