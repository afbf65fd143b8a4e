"""Editors get valid JSON Schemas that take the shipped files, and shells complete commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from edgeflow.cli.main import cli

KINDS = ("box", "recipe", "network-recipe")
MAIN = "import sys; sys.argv[0] = 'edgeflow'; from edgeflow.cli.main import main; main()"


def schema(kind: str, *options: str) -> dict[str, Any]:
    done = CliRunner().invoke(cli, ["schema", kind, *options], catch_exceptions=False)
    assert done.exit_code == 0
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def shipped(repository: Path, kind: str) -> list[Path]:
    folder = "firmware_configs/boxes" if kind == "box" else "export/recipes"
    files = sorted((repository / folder).rglob("*.yaml"))
    assert files
    return files


def documents(repository: Path, kind: str) -> list[dict[str, Any]]:
    """Shipped files as documents; the recipe of a network from elsewhere is the one that its page shows."""
    if kind != "network-recipe":
        return [yaml.safe_load(file.read_text("utf-8")) for file in shipped(repository, kind)]
    page = (repository / "docs/how-to/other-models.md").read_text("utf-8")
    return [yaml.safe_load(page.split("```text\n")[1].split("```")[0])]


@pytest.mark.parametrize("kind", KINDS)
def test_schema_is_valid_and_the_same_on_one_line(kind: str) -> None:
    document = schema(kind)
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(document)
    assert schema(kind, "--json") == document


@pytest.mark.parametrize("kind", KINDS)
def test_shipped_files_are_valid_and_a_misspelt_key_is_not(repository: Path, kind: str) -> None:
    validator = Draft202012Validator(schema(kind))
    for document in documents(repository, kind):
        assert [error.message for error in validator.iter_errors(document)] == [], document
        section = next(key for key, value in document.items() if isinstance(value, dict) and key != "cameras")
        misspelt = {**document, section: {**document[section], "tresholdd": 1}}
        assert not validator.is_valid(misspelt), document
        assert not validator.is_valid({**document, "stattion": {}}), document


def test_keys_keep_their_names_and_descriptions() -> None:
    definitions = schema("box")["$defs"]
    assert "milliseconds" in definitions["DecisionConfig"]["properties"]["deadline_ms"]["description"]


def completed(shell: str, **variables: str) -> str:
    environment = {**os.environ, "_EDGEFLOW_COMPLETE": shell, **variables}
    done = subprocess.run(
        [sys.executable, "-c", MAIN], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_for_a_shell_is_printed(shell: str) -> None:
    assert "_EDGEFLOW_COMPLETE" in completed(f"{shell}_source")


def test_commands_and_options_are_completed() -> None:
    names = completed("bash_complete", COMP_WORDS="edgeflow sc", COMP_CWORD="1")
    assert names.split() == ["plain,schema", "plain,score"]
    options = completed("bash_complete", COMP_WORDS="edgeflow outbox flush --t", COMP_CWORD="3")
    assert options.split() == ["plain,--timeout"]
