"""A box accepts few commands; every refusal has its reason, and replies go only where they may."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edgeflow.commands.rules import MAX_COMMAND_BYTES, Authorisation, Issuer, Rules, authorise
from edgeflow.contracts.sealing import Secret, seal
from edgeflow.mqtt.subscriptions import Incoming

BOX = "edgeflow/v1/plant/l1/s1"
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
RULES = Rules(box=BOX, session="now", allow=("start", "stop"), issuers=None, max_age_s=30)
SHARED = b"a secret of the line"
PRIVATE = Ed25519PrivateKey.from_private_bytes(b"7" * 32)
SEALED = Rules(
    box=BOX,
    session="now",
    allow=("start", "stop"),
    issuers={
        "mes": Issuer(key=SHARED, allow=("start", "stop")),
        "shift": Issuer(key=PRIVATE.public_key(), allow=("stop",)),
    },
    max_age_s=30,
)


def document(**changes: Any) -> dict[str, Any]:
    made = {
        "schema": "edgeflow/command/1",
        "command_id": "c-1",
        "verb": "stop",
        "box": BOX,
        "issuer": "mes",
        "issued_at": "2026-06-01T12:00:00.000Z",
    }
    return made | changes


def judged(
    payload: bytes | dict[str, Any],
    rules: Rules = RULES,
    *,
    verb: str = "stop",
    known: bool = False,
    now: datetime = NOW,
    retained: bool = False,
    response_topic: str = "",
) -> Authorisation:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    incoming = Incoming(
        topic=f"{BOX}/cmd/{verb}",
        payload=data,
        retained=retained,
        duplicate=False,
        received_ns=0,
        response_topic=response_topic,
    )
    return authorise(incoming, rules, lambda _: known, now)


def test_a_fresh_command_for_this_box_is_accepted() -> None:
    for changes in ({}, {"session": "now"}, {"arguments": {"bundle": "two.bundle"}}, {"correlation": "7"}):
        found = judged(document(**changes))
        assert found.refusal == ""
        assert found.command is not None
        assert found.reply_to == f"{BOX}/rsp/stop"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"box": "edgeflow/v1/plant/l1/s2"}, "for 'edgeflow/v1/plant/l1/s2'"),
        ({"verb": "start"}, "says 'start' on the topic of 'stop'"),
        ({"session": "before"}, "started anew"),
        ({"issued_at": "2026-06-01T11:59:00.000Z"}, "60 s ago"),
        ({"issued_at": "2026-06-01T12:01:00.000Z"}, "60 s in the future"),
        ({"issued_at": "2026-13-01T12:01:00.000Z"}, "no such date"),
        ({"command_id": "../x"}, "command_id"),
        ({"arguments": {"bundle": 3}}, "arguments.bundle"),
        ({"arguments": {str(n): "x" for n in range(9)}}, "arguments"),
        ({"exec": "reboot"}, "unknown key"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, Any], reason: str) -> None:
    found = judged(document(**changes))
    assert reason in found.refusal


@pytest.mark.parametrize(
    "issued_at",
    [
        "2026-06-01T12:00:00Z", "2026-06-01T14:00:00+02:00", "2026-06-01T12:00:00.123456789Z",
        "2026-06-01t09:30:29.9-02:30", "2026-06-01 12:00:30.0Z", "2026-06-01T11:59:30Z",
    ],
)  # fmt: skip
def test_a_command_may_tell_its_time_in_any_form_of_rfc_3339(issued_at: str) -> None:
    assert judged(document(issued_at=issued_at)).refusal == ""


@pytest.mark.parametrize("issued_at", ["2026-06-01T12:00:30.001Z", "2026-06-01T11:59:29.999Z"])
def test_the_fraction_of_a_second_counts(issued_at: str) -> None:
    assert "(commands.max_age_s)" in judged(document(issued_at=issued_at)).refusal


def test_a_time_that_is_none_is_told_in_words() -> None:
    refusal = judged(document(issued_at="noon")).refusal
    assert "issued_at: expected a time of RFC 3339 with Z or an offset" in refusal


def test_nuls_after_a_signed_command_are_no_part_of_it() -> None:
    made = document()
    payload = json.dumps(made | {"signature": seal(made, SHARED)}).encode()
    assert judged(payload + bytes(40), SEALED).refusal == ""
    assert "not signed" in judged(json.dumps(made).encode() + bytes(40), SEALED).refusal


def test_retained_repeated_oversized_unreadable_and_unknown_ones_are_refused() -> None:
    assert "retained" in judged(document(), retained=True).refusal
    assert "has come before" in judged(document(), known=True).refusal
    assert str(MAX_COMMAND_BYTES) in judged(b" " * (MAX_COMMAND_BYTES + 1)).refusal
    for payload in (b"", b"\xff\x00", b"[" * 4000, b"1e999", b'{"a": NaN}', b"null"):
        assert "not a command" in judged(payload).refusal
    assert "no such command" in judged(document(), verb="reboot").refusal
    assert "is not allowed over MQTT" in judged(document(verb="reload"), verb="reload").refusal
    assert (
        "none"
        in judged(document(), Rules(box=BOX, session="now", allow=(), issuers=None, max_age_s=1)).refusal
    )


@pytest.mark.parametrize(
    "topic", [f"{BOX}/decision", f"{BOX}/rsp", f"{BOX}/rsp/#", "edgeflow/v1/plant/l1/s2/rsp/x", "$SYS/x"]
)
def test_a_reply_is_never_written_where_others_read_something_else(topic: str) -> None:
    found = judged(document(), response_topic=topic)
    assert "response topic" in found.refusal
    assert found.reply_to == f"{BOX}/rsp/stop"
    fine = judged(document(), response_topic=f"{BOX}/rsp/mes/17")
    assert (fine.refusal, fine.reply_to) == ("", f"{BOX}/rsp/mes/17")


@pytest.mark.parametrize(("issuer", "secret"), [("mes", SHARED), ("shift", PRIVATE)])
def test_a_sealed_command_of_a_known_issuer_is_accepted_and_any_change_is_not(
    issuer: str, secret: Secret
) -> None:
    made = document(issuer=issuer)
    made["signature"] = seal(made, secret)
    assert judged(made, SEALED).refusal == ""
    for change in ({"command_id": "c-2"}, {"issued_at": "2026-06-01T12:00:01.000Z"}, {"session": "now"}):
        assert "not signed" in judged(made | change, SEALED).refusal
    for wrong in (None, "", "hmac-sha256:", "ed25519:AAAA", "ed25519:ü", "none:", made["signature"][:-4]):
        assert "not signed" in judged(made | {"signature": wrong}, SEALED).refusal


def test_an_issuer_cannot_be_impersonated_nor_do_more_than_it_may() -> None:
    as_other = document(issuer="shift")
    as_other["signature"] = seal(as_other, SHARED)
    assert "not signed" in judged(as_other, SEALED).refusal
    unknown = document(issuer="nobody")
    unknown["signature"] = seal(unknown, SHARED)
    assert "not signed" in judged(unknown, SEALED).refusal
    start = document(issuer="shift", verb="start")
    start["signature"] = seal(start, PRIVATE)
    assert "not allowed" in judged(start, SEALED, verb="start").refusal
    old = document()
    old["signature"] = seal(old, SHARED)
    assert "ago" in judged(old, SEALED, now=NOW + timedelta(seconds=31)).refusal
