"""The reference pages are what the code says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from edgeflow.cli.main import cli
from edgeflow.config.box import BoxConfig
from edgeflow_export.recipe import Recipe
from tests.support.commands import commands_of

PAGES = ("box-file.md", "cli.md", "exit-codes.md", "messages.md", "recipe.md")


def write_reference(checkout: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(checkout / "tools" / "write_reference.py"), *options]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)


@pytest.fixture
def checkout(tmp_path: Path, repository: Path) -> Path:
    """A folder with the tool and the pages as they are in the repository."""
    (tmp_path / "tools").mkdir()
    shutil.copy(repository / "tools" / "write_reference.py", tmp_path / "tools")
    shutil.copytree(repository / "docs" / "reference", tmp_path / "docs" / "reference")
    return tmp_path


def test_reference_in_the_repository_is_what_the_code_says(repository: Path) -> None:
    done = write_reference(repository, "--check")
    assert done.returncode == 0, done.stderr


def test_page_that_is_stale_or_missing_is_named_and_written_anew(checkout: Path) -> None:
    pages = checkout / "docs" / "reference"
    right = {name: (pages / name).read_text() for name in PAGES}
    (pages / "cli.md").write_text(right["cli.md"].replace("--json", "--jason", 1))
    (pages / "recipe.md").unlink()
    done = write_reference(checkout, "--check")
    assert done.returncode == 1
    assert (
        done.stderr.strip() == "docs/reference: cli.md, recipe.md differ from the code; run 'make reference'"
    )
    assert write_reference(checkout).returncode == 0
    assert {name: (pages / name).read_text() for name in PAGES} == right
    assert write_reference(checkout, "--check").returncode == 0


def test_every_command_and_option_has_its_place(repository: Path) -> None:
    page = (repository / "docs" / "reference" / "cli.md").read_text()
    for name, command in commands_of(cli).items():
        assert re.search(rf"^##+ `edgeflow {name}\b", page, re.MULTILINE), name
        for parameter in command.params:
            assert all(option in page for option in parameter.opts if option.startswith("--")), parameter.name


def models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)


def undescribed(model: type[BaseModel], path: str) -> Iterator[str]:
    """Paths of keys that nobody explains; one section is explained by its own model."""
    for key, field in model.model_fields.items():
        sections = list(models_in(field.annotation))
        if not field.description and not (len(sections) == 1 and sections[0].__doc__):
            yield f"{path}.{key}"
        for section in sections:
            yield from undescribed(section, f"{path}.{key}")


@pytest.mark.parametrize("model", [BoxConfig, Recipe])
def test_every_key_of_a_file_that_people_write_has_a_description(model: type[BaseModel]) -> None:
    assert list(undescribed(model, model.__name__)) == []
