"""Recipes, box files and commands of the tutorials are those of the README, which a test runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from edgeflow.cli.main import cli
from edgeflow.config.box import load_config
from edgeflow.security.keys import new_key
from tests.support.commands import command_named
from tests.support.markdown import blocks, commands

TUTORIALS = ("docs/tutorials/first-bundle.md", "docs/tutorials/first-box.md")


def files(text: str) -> dict[str, str]:
    """Name → text of every YAML file that a page shows."""
    return {
        body.splitlines()[0].removeprefix("# ").split(":")[0]: body
        for _, kind, body in blocks(text)
        if kind == "yaml"
    }


def commands_of(text: str) -> list[list[str]]:
    return [words for _, kind, body in blocks(text) if kind == "sh" for words in commands(body)]


@pytest.mark.parametrize("page", TUTORIALS)
def test_files_and_commands_of_a_tutorial_are_those_that_the_readme_runs(repository: Path, page: str) -> None:
    readme, text = (repository / "README.md").read_text(), (repository / page).read_text()
    shown, run = files(text), files(readme)
    assert shown
    assert {name: yaml.safe_load(body) for name, body in shown.items()} == {
        name: yaml.safe_load(run[name]) for name in shown
    }
    assert commands_of(text)
    assert [words for words in commands_of(text) if words not in commands_of(readme)] == []


def test_sections_in_the_readme_are_parts_of_a_whole_box_file(repository: Path, tmp_path: Path) -> None:
    shown = files((repository / "README.md").read_text())
    whole = yaml.safe_load(shown.pop("box.yaml"))
    del shown["recipe.yaml"]
    assert shown
    new_key(tmp_path / "line", None)
    new_key(tmp_path / "shift", None)
    (tmp_path / "mes.secret").write_text("0123456789abcdef" * 4)
    for name, body in shown.items():
        section = yaml.safe_load(body)
        path = tmp_path / name
        path.write_text(yaml.safe_dump({**whole, **section}))
        config = load_config(path)
        for key in section:
            assert getattr(config, key), name


@pytest.mark.parametrize("page", ["README.md", *TUTORIALS, "docs/how-to/install.md"])
def test_commands_for_a_terminal_exist_with_their_options(repository: Path, page: str) -> None:
    """Also those of ``console`` blocks, which need hardware or a running box."""
    for _, kind, body in blocks((repository / page).read_text()):
        for words in commands(body.replace("\\\n", " ")) if kind in ("sh", "console") else []:
            command, rest = command_named(cli, words[1:])
            known = {option for parameter in command.params for option in parameter.opts} | {"--version"}
            used = {word for word in rest if word.startswith("-")}
            assert used <= known, f"{page}: {' '.join(words)}"
