"""Messages of earlier days: read by today's code, and today's are what their readers expect."""

from __future__ import annotations

import itertools
import json
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import BaseModel

from edgeflow.contracts.commands import Command
from edgeflow.contracts.manifest import SCHEMA_VERSION, Manifest
from edgeflow.contracts.messages import (
    MESSAGES,
    Alarm,
    Decision,
    Message,
    Result,
    from_json,
    shipped_schema,
    to_json,
)
from edgeflow.contracts.sealing import is_sealed
from edgeflow.errors import DataError

GOLDEN = Path(__file__).parents[2] / "golden"
FIRST = GOLDEN / "2026-11-28"
DAYS = (FIRST, GOLDEN / "2026-11-29")
MESSAGE_FILES = sorted((file for day in DAYS for file in (day / "messages").iterdir()), key=lambda f: f.name)
FREE_KEYS = ("durations_ms", "arguments", "parts", "stages", "views", "cameras", "temperatures_c")
SECRET = (FIRST / "signed" / "secret").read_bytes()


def name_of(file: Path) -> str:
    return file.stem.rpartition("-")[0]


def includes(new: Any, old: Any) -> bool:
    """True if a document says all that an older one says."""
    if isinstance(old, dict):
        return isinstance(new, dict) and all(key in new and includes(new[key], old[key]) for key in old)
    if isinstance(old, list):
        return len(new) == len(old) and all(includes(n, o) for n, o in zip(new, old, strict=True))
    return bool(new == old)


def with_unknown_fields(document: Any) -> Any:
    """As a newer edgeflow may write it: one more field in every object."""
    if isinstance(document, list):
        return [with_unknown_fields(item) for item in document]
    if isinstance(document, dict):
        return {**{k: with_unknown_fields(v) for k, v in document.items()}, "of_2031": {"a": [1, None]}}
    return document


@pytest.mark.parametrize("file", MESSAGE_FILES, ids=lambda file: file.stem)
def test_a_message_of_an_earlier_day_is_read_and_says_the_same(file: Path) -> None:
    document = json.loads(file.read_bytes())
    message = from_json(MESSAGES[name_of(file)], file.read_bytes())
    assert includes(json.loads(to_json(message)), document)
    jsonschema.Draft202012Validator(shipped_schema(name_of(file))).validate(document)


@pytest.mark.parametrize("name", MESSAGES)
def test_every_kind_of_message_has_a_golden_copy(name: str) -> None:
    assert name in {name_of(file) for file in MESSAGE_FILES}


@pytest.mark.parametrize("file", MESSAGE_FILES, ids=lambda file: file.stem)
def test_a_reader_ignores_what_a_newer_edgeflow_adds_but_a_command_is_refused_whole(file: Path) -> None:
    name = name_of(file)
    newer = with_unknown_fields(json.loads(file.read_bytes()))
    for key in FREE_KEYS:
        if isinstance(newer.get(key), dict):
            del newer[key]["of_2031"]
    payload = json.dumps(newer).encode()
    jsonschema.Draft202012Validator(shipped_schema(name)).validate(newer)
    if name == "command":
        with pytest.raises(DataError, match="1 problem") as caught:
            from_json(Command, payload)
        assert "of_2031: unknown key" in caught.value.problems[0]
    elif name != "trigger":  # its unknown fields are the line's own, see test_trigger_message
        assert from_json(MESSAGES[name], payload) == from_json(MESSAGES[name], file.read_bytes())


@pytest.mark.parametrize("name", MESSAGES)
def test_what_is_written_today_fits_the_schemas_of_earlier_days(name: str) -> None:
    """Readers made for an earlier schema find every field that it requires, of the type that it promises."""
    schema = next(file for day in DAYS if (file := day / "schemas" / f"{name}.json").exists())
    old = json.loads(schema.read_bytes())
    for file in MESSAGE_FILES:
        if name_of(file) == name:
            today = json.loads(to_json(from_json(MESSAGES[name], file.read_bytes())))
            jsonschema.Draft202012Validator(opened(old)).validate(today)


def opened(schema: Any) -> Any:
    if isinstance(schema, list):
        return [opened(item) for item in schema]
    if isinstance(schema, dict):
        return {k: opened(v) for k, v in schema.items() if (k, v) != ("additionalProperties", False)}
    return schema


@pytest.mark.parametrize("name", MESSAGES)
def test_no_shipped_schema_forbids_fields_that_it_does_not_know(name: str) -> None:
    assert '"additionalProperties": false' not in json.dumps(shipped_schema(name))


@pytest.mark.parametrize("name", MESSAGES)
def test_what_is_written_has_known_fields_only(name: str) -> None:
    file = next(file for file in MESSAGE_FILES if name_of(file) == name)
    fields = {**json.loads(file.read_bytes()), "of_2031": 1}
    with pytest.raises(ValueError, match="of_2031"):
        MESSAGES[name](**fields)


def test_a_reader_takes_codes_that_a_newer_edgeflow_added() -> None:
    newer = json.loads((FIRST / "messages" / "alarm-01.json").read_bytes()) | {"code": "lens_dirty_2"}
    jsonschema.Draft202012Validator(shipped_schema("alarm")).validate(newer)
    assert from_json(Alarm, json.dumps(newer).encode()).name == "lens_dirty_2"
    with pytest.raises(ValueError, match="code"):
        Alarm(**newer)


@pytest.mark.parametrize("code", ["Lens dirty", "", "../x", "a#", "+", "x" * 65, "lens\n", 7, None])
def test_a_code_that_cannot_be_one_is_refused(code: object) -> None:
    newer = json.loads((FIRST / "messages" / "alarm-01.json").read_bytes()) | {"code": code}
    assert not jsonschema.Draft202012Validator(shipped_schema("alarm")).is_valid(newer) or code == "lens\n"
    with pytest.raises(DataError, match="1 problem"):
        from_json(Alarm, json.dumps(newer).encode())


def test_a_verdict_that_a_newer_edgeflow_added_is_refused() -> None:
    newer = json.loads((FIRST / "messages" / "decision-01.json").read_bytes()) | {"verdict": "REWORK"}
    with pytest.raises(DataError, match="1 problem"):
        from_json(Decision, json.dumps(newer).encode())


@pytest.mark.parametrize("name", ["decision", "command"])
@pytest.mark.parametrize("how", ["hmac", "ed25519"])
def test_a_signature_of_an_earlier_day_still_holds(name: str, how: str) -> None:
    key = load_pem_public_key((FIRST / "signed" / "key.pub.pem").read_bytes())
    document = json.loads((FIRST / "signed" / f"{name}-{how}.json").read_bytes())
    assert is_sealed(document, SECRET if how == "hmac" else key)  # type: ignore[arg-type]
    assert not is_sealed({**document, "schema": "other"}, SECRET if how == "hmac" else key)  # type: ignore[arg-type]
    assert from_json(MESSAGES[name], json.dumps(document).encode())


def test_a_result_read_and_written_again_is_complete() -> None:
    result = from_json(Result, (FIRST / "messages" / "result-01.json").read_bytes())
    assert (result.reason_code, result.threshold, result.station, result.gate_told) == (None,) * 4


def fields_of(model: type[BaseModel], path: str = "") -> Iterator[str]:
    """Every field below a model, as a path."""
    for name, info in model.model_fields.items():
        yield f"{path}{info.alias or name}"
        for inner in models_in(info.annotation):
            yield from fields_of(inner, f"{path}{info.alias or name}.")


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from models_in(argument)


def test_every_field_of_the_manifest_came_with_a_version() -> None:
    file = GOLDEN / "manifest_fields" / f"{SCHEMA_VERSION}.txt"
    present = sorted(set(fields_of(Manifest)))
    assert file.exists(), f"write the fields of version {SCHEMA_VERSION} to {file}: {present}"
    recorded = file.read_text("utf-8").split()
    more, gone = set(present) - set(recorded), set(recorded) - set(present)
    assert not gone, f"a field that goes takes the next major version: {sorted(gone)}"
    assert not more, f"raise the second number of SCHEMA_VERSION, and write a new file for it: {sorted(more)}"


def test_each_version_of_the_manifest_has_the_fields_of_the_one_before() -> None:
    versions = sorted((GOLDEN / "manifest_fields").iterdir(), key=lambda file: int(file.stem.split(".")[1]))
    assert versions[-1].stem == SCHEMA_VERSION
    for earlier, later in itertools.pairwise(versions):
        assert set(earlier.read_text().split()) < set(later.read_text().split())


def test_messages_are_named_as_ever() -> None:
    assert isinstance(Message, type)
    assert all(
        re.fullmatch(r"edgeflow/[a-z-]+/1", str(model.model_fields["schema_"].default))
        for model in MESSAGES.values()
    )
