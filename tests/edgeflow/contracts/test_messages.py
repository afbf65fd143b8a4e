"""MQTT payloads: what is sent is what the shipped JSON Schemas promise to consumers in any language."""

from __future__ import annotations

import json
import math
import typing
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from edgeflow.contracts.commands import Command, Outcome, Reply
from edgeflow.contracts.message_parts.fleet_status import FleetStatus
from edgeflow.contracts.messages import (
    MESSAGES,
    Ack,
    Alarm,
    AlarmCode,
    Birth,
    BundleInfo,
    CameraInfo,
    CameraStatus,
    Decision,
    Dropped,
    Message,
    Metrics,
    Result,
    State,
    StateName,
    TriggerMessage,
    from_json,
    json_schema,
    shipped_schema,
    to_json,
)
from edgeflow.contracts.topics import Topics
from edgeflow.errors import DataError

AT = "2026-03-04T10:11:12.123Z"
SAMPLE = Path(__file__).parents[2] / "samples" / "result.json"
GOLDEN = Path(__file__).parents[2] / "golden" / "2026-11-29"
RESULT = from_json(Result, SAMPLE.read_bytes())
UNSCORED = RESULT.model_copy(
    update={
        "verdict": "UNDECIDED",
        "reason": "missing views: left",
        "score": None,
        "score_raw": None,
        "views": tuple(
            view.model_copy(update={"score": None, "score_raw": None, "frame_id": None, "skew_ms": None})
            for view in RESULT.views
        ),
    }
)
BUNDLE = BundleInfo(name="bracket", sha256="0" * 64, backend="openvino", precision="int8")
EXAMPLES: dict[str, tuple[Message, ...]] = {
    "decision": (
        Decision(
            result_id="r", trigger_id="t", part_id="p", verdict="NG", reason="score 1.42 is over",
            seq=1, session="s", acquired_at=AT, valid_until=AT,
        ),
    ),
    "result": (RESULT, UNSCORED, RESULT.model_copy(update={"replayed": True, "attempt": 3})),
    "dropped": (
        Dropped(record_id="d1", first="r1", last="r3", count=2, why="full", result_ids=("r1", "r3"), at=AT),
    ),
    "ack": (Ack(result_ids=("r1", "r2")),),
    "trigger": (
        TriggerMessage(trigger_id="t1"),
        TriggerMessage(trigger_id="t2", part_id="p 2", encoder=-5, at=AT),
    ),
    "birth": (
        Birth(
            session="s", edgeflow_version="0.1.0", bundle=BUNDLE, config_sha256="0" * 64,
            cameras=(CameraInfo(view="top", kind="replay", source="parts"),),
            message_schemas=("edgeflow/decision/1",), at=AT,
        ),
    ),
    "state": tuple(
        State(session="s", state=name, detail="running", recipe="bracket", ready=True, at=AT)
        for name in typing.get_args(StateName)
    ),
    "camera-status": (
        CameraStatus(session="s", view="top", status="offline", at=AT),
        CameraStatus(
            session="s", view="top", status="online", serial="4001", fps=9.9, last_frame_age_ms=3.5,
            reconnects=2, detail="reopened", at=AT,
        ),
    ),
    "alarm": tuple(
        Alarm(session="s", code=code, subject=subject, severity="error", text="look", since=AT)
        for code in typing.get_args(AlarmCode)
        for subject in ("", "top")
    ),
    "fleet": (
        FleetStatus(box="box1", group="canary", phase="idle", at=AT),
        FleetStatus(
            box="box1", group="canary", phase="watching", release="bracket-3-0a1b2c3d", reason="",
            bundle_sha256="0" * 64, parts=17, of_parts=200, repository_version=4, at=AT,
        ),
        FleetStatus(
            box="box1", group="canary", phase="rolled_back", release="bracket-3-0a1b2c3d",
            reason="12 of 90 parts judged otherwise", problem="expired", seen_at=AT, at=AT,
        ),
    ),
    "metrics": tuple(
        from_json(Metrics, file.read_bytes()) for file in sorted((GOLDEN / "messages").glob("metrics-*"))
    ),
    "command": (
        Command(command_id="1", verb="start", box="edgeflow/v1/a/b/c", issuer="mes", issued_at=AT),
        Command(
            command_id="2", verb="reload", box="edgeflow/v1/a/b/c", issuer="mes", issued_at=AT, session="s",
            arguments={"bundle": "two.bundle"}, correlation="7", signature="hmac-sha256:AA==",
        ),
    ),
    "reply": tuple(
        Reply(session="s", command_id=known, verb="start", outcome=outcome, text="running", at=AT)
        for outcome in typing.get_args(Outcome)
        for known in (None, "1")
    ),
}  # fmt: skip
ALL = [(name, example) for name, examples in EXAMPLES.items() for example in examples]


def validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(shipped_schema(name))


def test_there_is_an_example_of_every_message() -> None:
    assert set(EXAMPLES) == set(MESSAGES)
    assert all(isinstance(example, MESSAGES[name]) for name, example in ALL)


@pytest.mark.parametrize("name", MESSAGES)
def test_the_shipped_schema_is_valid_and_is_what_the_model_says(name: str) -> None:
    schema = shipped_schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema == json_schema(name), "run: python tools/write_schemas.py"


def test_no_schema_file_without_a_message() -> None:
    import edgeflow.contracts

    folder = Path(edgeflow.contracts.__file__).parent / "schemas"
    assert {file.stem for file in folder.iterdir()} == set(MESSAGES)


@pytest.mark.parametrize(("name", "message"), ALL)
def test_every_message_fits_its_schema_and_survives_the_way(name: str, message: Message) -> None:
    payload = to_json(message)
    document = json.loads(payload)
    validator(name).validate(document)
    assert document["schema"] == f"edgeflow/{name}/1"
    assert from_json(MESSAGES[name], payload) == message


@pytest.mark.parametrize("name", MESSAGES)
def test_schema_and_model_refuse_the_same_mistakes(name: str) -> None:
    good = json.loads(to_json(EXAMPLES[name][0]))
    wrong: list[dict[str, Any]] = [{**good, "schema": f"edgeflow/{name}/2"}]
    required = next(key for key, info in MESSAGES[name].model_fields.items() if info.is_required())
    wrong += [{key: value for key, value in good.items() if key != required}, {**good, required: {"a": 1}}]
    for document in wrong:
        assert not validator(name).is_valid(document)
        with pytest.raises(DataError):
            from_json(MESSAGES[name], json.dumps(document).encode())


def test_a_verdict_outside_the_three_is_refused() -> None:
    document = {**json.loads(to_json(EXAMPLES["decision"][0])), "verdict": "GOOD"}
    assert not validator("decision").is_valid(document)
    with pytest.raises(DataError) as caught:
        from_json(Decision, json.dumps(document).encode())
    assert caught.value.problems == ("verdict: unknown value 'GOOD'; allowed: OK, NG, UNDECIDED",)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_does_not_have_cannot_be_put_into_a_message(value: float) -> None:
    fields = RESULT.model_dump(by_alias=True)
    for change in ({"score": value}, {"durations_ms": {"total": value}}):
        with pytest.raises(ValidationError, match="finite number"):
            Result(**{**fields, **change})


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e999"])
def test_numbers_that_json_does_not_have_are_refused_when_read(text: str) -> None:
    payload = to_json(RESULT).replace(b'"score":1.42', f'"score":{text}'.encode())
    assert payload != to_json(RESULT)
    with pytest.raises(DataError) as caught:
        from_json(Result, payload)
    assert caught.value.problems[0].startswith("score: must be a finite number, got")


@pytest.mark.parametrize("payload", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"1" * 5000])
def test_a_payload_that_is_not_json_is_refused(payload: bytes) -> None:
    with pytest.raises(DataError, match="ack message is not JSON"):
        from_json(Ack, payload)


@pytest.mark.parametrize("payload", [b"null", b"[]", b"{}", b'{"result_ids": []}', b'{"result_ids": [1]}'])
def test_json_that_is_not_the_message_is_refused(payload: bytes) -> None:
    with pytest.raises(DataError, match="ack message: 1 problem"):
        from_json(Ack, payload)


def test_an_ack_needs_nothing_but_the_ids_and_has_a_limit() -> None:
    assert from_json(Ack, b'{"result_ids": ["r1"]}').result_ids == ("r1",)
    many = json.dumps({"result_ids": ["r"] * 1001}).encode()
    with pytest.raises(DataError) as caught:
        from_json(Ack, many)
    assert caught.value.problems == ("result_ids: needs at most 1000 entries, has 1001",)


@pytest.mark.parametrize("text", ["2026-03-04 10:11:12Z", "2026-03-04T10:11:12.123", "yesterday", ""])
def test_times_are_utc_in_rfc_3339(text: str) -> None:
    with pytest.raises(ValidationError):
        State(session="s", state="Ready", detail="", recipe="r", ready=True, at=text)


def test_all_topics_lie_under_the_root() -> None:
    topics = Topics(root="edgeflow/v1/a/b/c")
    names = ["availability", "birth", "state", "decision", "result", "result_ack", "trigger"]
    found = [getattr(topics, name) for name in names]
    found += [topics.camera_status("top"), topics.alarm("disk")]
    assert found == [
        "edgeflow/v1/a/b/c/availability",
        "edgeflow/v1/a/b/c/birth",
        "edgeflow/v1/a/b/c/state",
        "edgeflow/v1/a/b/c/decision",
        "edgeflow/v1/a/b/c/result",
        "edgeflow/v1/a/b/c/result/ack",
        "edgeflow/v1/a/b/c/trigger",
        "edgeflow/v1/a/b/c/camera/top/status",
        "edgeflow/v1/a/b/c/alarm/disk",
    ]
