"""The short form of a decision: short whatever happened, and no id is cut."""

from __future__ import annotations

import typing

import pytest

from edgeflow.contracts.message_parts.compact_decision import compact_decision
from edgeflow.contracts.message_parts.reason_codes import ReasonCode
from edgeflow.contracts.messages import Decision, VerdictName

AT = "2026-11-28T13:00:00.0Z"


def made(verdict: VerdictName, code: ReasonCode | None, trigger_id: str = "t1", seq: int = 7) -> Decision:
    return Decision(
        result_id="r", trigger_id=trigger_id, part_id="p", verdict=verdict, reason="x", reason_code=code,
        seq=seq, session="s", acquired_at=AT, valid_until=AT,
    )  # fmt: skip


def test_verdict_reason_number_and_trigger_in_this_order() -> None:
    assert compact_decision(made("NG", "defect")) == b"NG;defect;7;t1"
    assert compact_decision(made("UNDECIDED", None)) == b"UNDECIDED;fault;7;t1"


@pytest.mark.parametrize("code", typing.get_args(ReasonCode))
def test_every_reason_leaves_forty_characters_of_eighty_for_the_trigger_id(code: ReasonCode) -> None:
    line = compact_decision(made("UNDECIDED", code, trigger_id="x" * 40, seq=10**9))
    assert len(line) <= 80


def test_a_long_trigger_id_is_not_cut() -> None:
    name = "ü;" * 64
    assert compact_decision(made("OK", "ok", name)).decode().split(";", 3)[3] == name
