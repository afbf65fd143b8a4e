"""A part is of the product of its trigger, whatever is chosen while it is under way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeflow.capture.capture import Capture
from edgeflow.capture.part_product import PartProduct, ProductTimeline
from edgeflow.capture.trigger_messages.mqtt_triggers import MqttTriggers
from edgeflow.capture.trigger_messages.product_field import ProductField
from edgeflow.capture.triggers import Trigger
from edgeflow.config.box import load_config
from edgeflow.mqtt.subscriptions import Incoming
from simulators.small_box import write_box

A, B = PartProduct(name="A"), PartProduct(name="B")
FIELD = ProductField(field="variant", products=("A", "B", "Größe", "2"))


def test_a_choice_holds_from_its_moment_on_and_never_before() -> None:
    now_ns = 1000
    timeline = ProductTimeline(A, clock=lambda: now_ns)
    timeline.choose(B)
    now_ns = 2000
    timeline.choose(A)
    assert [timeline.at(ns) for ns in (0, 999, 1000, 1999, 2000, 9999)] == [A, A, B, B, A, A]
    assert timeline.now == A


def test_choices_are_forgotten_when_no_part_can_be_of_them_any_more() -> None:
    now_ns = 0
    timeline = ProductTimeline(A, clock=lambda: now_ns)
    for step in range(1, 1000):
        now_ns = step * 10**9
        timeline.choose(B if step % 2 else A)
    assert timeline.at(now_ns - 599 * 10**9) in (A, B)
    found = timeline.at(1)
    assert found.name is None
    assert "older than all choices" in found.problem


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ({"variant": "A"}, "A"),
        ({"variant": "A\0\0\0"}, "A"),
        ({"variant": 2}, "2"),
        ({"variant": 2.0}, "2"),
        ({"variant": "Gro\u0308\u00dfe"}, "Größe"),
        ({"context": {"variant": "B"}}, "B"),
        ({"variant": "A", "context": {"variant": "B"}}, "A"),
    ],
)
def test_a_trigger_names_a_product_as_controllers_write_it(message: dict[str, object], name: str) -> None:
    assert FIELD.read(message) == PartProduct(name=name)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({}, "the trigger has no 'variant'"),
        (None, "the trigger has no 'variant'"),
        ({"variant": ""}, "the trigger has no 'variant'"),
        ({"variant": "a"}, "unknown product 'a': not in the box file's products"),
        ({"variant": " A"}, "unknown product ' A'"),
        ({"variant": "A\nB\x1b[31m"}, "unknown product 'A?B?[31m'"),
        ({"variant": "ü" * 4096}, "unknown product '" + "ü" * 40 + "…'"),
        ({"variant": ["A"]}, "neither text nor a number"),
        ({"variant": True}, "neither text nor a number"),
    ],
)
def test_what_names_no_product_is_taken_for_none(message: dict[str, object] | None, words: str) -> None:
    found = FIELD.read(message)
    assert found.name is None
    assert words in found.problem
    assert found.problem.isprintable()
    assert len(found.problem) < 120


def test_a_product_of_four_kilobytes_is_unknown_although_no_context_could_carry_it() -> None:
    """The field is read from the whole message, so that what is left out of the context is not missed."""
    taken: list[Trigger] = []
    triggers = MqttTriggers(product_field=FIELD)
    triggers.start(taken.append, lambda _trigger, _why: None)
    for number, variant in enumerate(("A", "ä" * 4096, None, "B")):
        payload = json.dumps({"trigger_id": f"t{number}", "variant": variant}, ensure_ascii=False).encode()
        triggers.handle(
            Incoming(
                topic="t",
                payload=payload,
                retained=False,
                duplicate=False,
                received_ns=number * 10**9,
                size=len(payload),
            )
        )
    assert [trigger.product.name if trigger.product else "?" for trigger in taken] == ["A", None, None, "B"]


def test_a_part_in_flight_keeps_the_product_of_its_trigger(tmp_path: Path) -> None:
    config = load_config(write_box(tmp_path, 1))
    timeline = ProductTimeline(A)
    capture = Capture(config, tuple(config.cameras), "s", products=timeline)
    with capture:
        sets = capture.view_sets()
        first = next(sets)
        timeline.choose(B)
        second, third = next(sets), next(sets)
    assert first.product == A
    assert third.product == B
    chosen_ns = timeline._choices[-1].since_ns
    assert second.product == (B if second.triggered_ns >= chosen_ns else A)
