"""Commands and files of the tutorials, as a new user would type and write them; size of the README."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from tests.support.markdown import blocks, commands
from tests.support.tiny import search_path

if TYPE_CHECKING:
    from tests.system.conftest import Broker

FIRST_BUNDLE, FIRST_BOX = "docs/tutorials/first-bundle.md", "docs/tutorials/first-box.md"
DRAWING = "tools/draw_parts.py"


@pytest.fixture(scope="module")
def workplace(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tutorials' parts and files."""
    folder = tmp_path_factory.mktemp("workplace")
    subprocess.run([sys.executable, repository / DRAWING, "parts"], cwd=folder, check=True)
    for page in (FIRST_BUNDLE, FIRST_BOX):
        for _, kind, body in blocks((repository / page).read_text()):
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


def page_commands(repository: Path, page: str) -> list[list[str]]:
    found = [
        command
        for _, kind, body in blocks((repository / page).read_text())
        if kind == "sh"
        for command in commands(body)
    ]
    assert found, f"{page} has no commands"
    return found


def test_tutorial_says_how_to_draw_parts(repository: Path) -> None:
    assert f"python {DRAWING} parts\n" in (repository / FIRST_BUNDLE).read_text()


@pytest.mark.timeout(1200)  # trains, exports and runs a box: minutes on a busy machine
def test_commands_of_both_tutorials(workplace: Path, repository: Path, broker: Broker) -> None:
    """One after the other, since each reader needs what the one before has made."""
    for command in page_commands(repository, FIRST_BUNDLE):
        run(command, workplace)
    box = workplace / "box.yaml"
    box.write_text(box.read_text().replace("port: 1883", f"port: {broker.port}"))
    of_the_box = page_commands(repository, FIRST_BOX)
    (monitor,) = (command for command in of_the_box if command[1] == "monitor")
    watching = threading.Thread(
        target=run, args=([word.replace("1883", str(broker.port)) for word in monitor], workplace)
    )
    watching.start()
    for command in of_the_box:
        if command is not monitor:
            run(command, workplace)
    watching.join(60)
    assert not watching.is_alive(), "the monitor did not see three results"


def test_every_command_is_in_the_readme(repository: Path) -> None:
    from edgeflow.cli.main import cli

    readme = (repository / "README.md").read_text()
    named = {name for name in cli.list_commands(click.Context(cli)) if f"edgeflow {name}" in readme}
    named |= {name for name in cli.list_commands(click.Context(cli)) if f"`{name}`" in readme}
    assert set(cli.list_commands(click.Context(cli))) - named == set()


def test_readme_is_short(repository: Path) -> None:
    assert len((repository / "README.md").read_text().splitlines()) <= 150


def test_no_placeholder_is_left(repository: Path) -> None:
    pages = [repository / "README.md", *(repository / "docs").rglob("*.md")]
    assert [page.name for page in pages if re.search(r"@[A-Z]+@", page.read_text())] == []
