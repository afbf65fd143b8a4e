"""Registers of the Modbus server: what they say of a part, and that the gate rejects whenever it has to."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from edgeflow.contracts.message_parts.reason_codes import ReasonCode
from edgeflow.contracts.messages import StateName, VerdictName
from edgeflow.modbus.registers import REASON_NUMBERS, STATE_NUMBERS, VERDICT_NUMBERS, Registers

GATE, BEAT, ANSWERS, READY, STATE, VERDICT, REASON = 1, 2, 3, 4, 5, 6, 7
SEQUENCE, PART, AGE, PRODUCT, COUNTS = 8, 10, 12, 13, 14
VALID_S = {"A": 0.5, "B": 2.0, None: 1.0}


def made() -> Registers:
    return Registers(lambda product: VALID_S[product], ("A", "B"))


def state(name: str = "ContinuousExecution", session: str = "s1", **more: Any) -> dict[str, Any]:
    ready = name in ("Ready", "ContinuousExecution")
    return {"kind": "state", "state": {"state": name, "ready": ready, "session": session} | more}


def decision(verdict: str = "OK", **more: Any) -> dict[str, Any]:
    content = {"verdict": verdict, "reason_code": "ok", "seq": 70_000, "part_id": "P-131074", "session": "s1"}
    return {"kind": "decision", "decision": content | more}


def number(words: list[int], address: int) -> int:
    return words[address] * 65536 + words[address + 1]


def test_a_good_part_opens_the_gate_until_its_decision_is_no_longer_valid() -> None:
    registers = made()
    assert registers.words(0.0)[GATE] == 0
    registers.take(state(), 10.0)
    assert registers.words(10.0)[GATE] == 0
    registers.take(decision(), 10.0)
    words = registers.words(10.25)
    assert (words[GATE], words[ANSWERS], words[READY], words[STATE]) == (1, 1, 1, 5)
    assert (words[VERDICT], words[REASON], words[AGE]) == (1, 1, 250)
    assert number(words, SEQUENCE) == 70_000
    assert number(words, PART) == 131_074
    assert number(words, COUNTS) == 1
    assert registers.words(11.01)[GATE] == 0
    assert registers.words(100.0)[AGE] == 0xFFFF


def test_a_good_part_that_was_told_late_opens_nothing() -> None:
    registers = made()
    registers.take(state(), 10.0)
    registers.take(decision() | {"at_ns": 7_000_000_000}, 10.0)
    words = registers.words(10.0)
    assert (words[GATE], words[VERDICT], words[AGE]) == (0, 1, 3000)
    registers.take(decision() | {"at_ns": 9_900_000_000}, 10.0)
    assert registers.words(10.0)[GATE] == 1
    assert registers.words(10.95)[GATE] == 0


def test_the_time_of_the_parts_own_product_counts() -> None:
    registers = made()
    registers.take(state(), 0.0)
    registers.take(decision(product="A"), 0.0)
    assert registers.words(0.6)[GATE] == 0
    registers.take(decision(product="B"), 1.0)
    words = registers.words(2.9)
    assert (words[GATE], words[PRODUCT]) == (1, 2)


@pytest.mark.parametrize("verdict", ["NG", "UNDECIDED"])
def test_any_other_verdict_closes_the_gate(verdict: str) -> None:
    registers = made()
    registers.take(state(), 0.0)
    registers.take(decision(), 0.0)
    registers.take(decision(verdict), 0.1)
    assert registers.words(0.1)[GATE] == 0


@pytest.mark.parametrize("name", sorted(set(get_args(StateName)) - {"ContinuousExecution"}))
def test_the_gate_is_closed_unless_the_box_inspects(name: str) -> None:
    registers = made()
    registers.take(state(), 0.0)
    registers.take(decision(), 0.0)
    registers.take(state(name), 0.1)
    assert registers.words(0.1)[GATE] == 0


def test_a_lost_box_leaves_nothing_but_the_last_count() -> None:
    registers = made()
    registers.take(state(), 0.0)
    registers.take(decision(), 0.0)
    beat = registers.words(0.0)[BEAT]
    registers.take({"kind": "lost", "problem": "the box has ended"}, 0.1)
    words = registers.words(0.1)
    assert words[GATE : PRODUCT + 1] == [0, beat, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFFFF, 0]
    registers.take(state(), 0.2)
    assert registers.words(0.2)[GATE] == 0  # the part of before is not let through again


def test_a_box_that_was_started_again_counts_anew() -> None:
    registers = made()
    registers.take(state(), 0.0)
    registers.take(decision("NG"), 0.0)
    registers.take(state(session="s2"), 0.1)
    words = registers.words(0.1)
    assert words[VERDICT] == 0
    assert [number(words, COUNTS + 2 * n) for n in range(3)] == [0, 0, 0]


@pytest.mark.parametrize(
    ("part", "expected"),
    [("P7", 7), ("", 0), ("no digits", 0), ("lot3-0042-x", 42), (str(2**32 + 5), 5), ("9" * 40, 10**18 - 1)],
)
def test_the_part_number_is_made_of_the_last_digits(part: str, expected: int) -> None:
    registers = made()
    registers.take(decision(part_id=part), 0.0)
    assert number(registers.words(0.0), PART) == expected % 2**32


def test_every_verdict_state_and_reason_has_its_own_number() -> None:
    assert set(VERDICT_NUMBERS) == set(get_args(VerdictName))
    assert set(STATE_NUMBERS) == {*get_args(StateName), "SingleExecution"}  # of OPC 40100-1, for a later box
    assert set(REASON_NUMBERS) == set(get_args(ReasonCode))
    registers = made()
    registers.take(decision(reason_code="of a newer box"), 0.0)
    assert registers.words(0.0)[REASON] == 999


def test_every_sign_of_life_counts_and_the_count_goes_round() -> None:
    registers = made()
    for _ in range(2**16 + 3):
        registers.take(state(), 0.0)
    assert registers.words(0.0)[BEAT] == 3
