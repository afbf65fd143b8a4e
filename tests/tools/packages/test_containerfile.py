"""The Containerfile takes only what is there, and its container has no privileges."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgeflow.cli.main import cli
from tests.support.commands import command_named


@pytest.fixture(scope="module")
def instructions(repository: Path) -> list[tuple[str, str]]:
    """Instructions with their arguments, in order."""
    text = (repository / "tools" / "packages" / "Containerfile").read_text("utf-8")
    whole = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in whole.splitlines() if line.strip()]


def test_every_instruction_is_known_and_every_stage_is_made_before(
    instructions: list[tuple[str, str]],
) -> None:
    known = {"ARG", "FROM", "COPY", "RUN", "ENV", "USER", "WORKDIR", "VOLUME", "HEALTHCHECK", "STOPSIGNAL"}
    assert {name for name, _ in instructions} <= known | {"ENTRYPOINT", "CMD"}
    stages = [rest.split(" AS ")[1] for name, rest in instructions if name == "FROM" and " AS " in rest]
    assert re.findall(r"--from=(\w+)", " ".join(rest for _, rest in instructions)) == stages


def test_it_copies_only_the_folder_of_wheels(instructions: list[tuple[str, str]], repository: Path) -> None:
    sources = [rest.split()[0] for name, rest in instructions if name == "COPY" and "--from" not in rest]
    assert sources == ["wheels"]
    assert "packages.wheels -o dist/wheels" in (repository / "Makefile").read_text("utf-8")


def test_it_runs_as_a_user_by_number_and_keeps_its_data_outside(instructions: list[tuple[str, str]]) -> None:
    last = dict(instructions)
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", last["USER"])
    assert [name for name, _ in instructions].index("USER") > max(
        place for place, (name, _) in enumerate(instructions) if name == "RUN"
    )
    assert set(re.findall(r'"([^"]+)"', last["VOLUME"])) == {
        "/etc/edgeflow",
        "/var/lib/edgeflow",
        "/var/cache/edgeflow",
    }


def test_what_it_starts_and_asks_are_commands(instructions: list[tuple[str, str]]) -> None:
    last = dict(instructions)
    started = re.findall(r'"([^"]+)"', last["ENTRYPOINT"]) + re.findall(r'"([^"]+)"', last["CMD"])
    asked = re.findall(r'"([^"]+)"', last["HEALTHCHECK"])
    for words in (started, asked):
        assert words[0] == "edgeflow"
        command, _ = command_named(cli, words[1:])
        assert command.name == words[1]
