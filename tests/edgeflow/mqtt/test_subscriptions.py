"""Each message reaches the handlers of its topic, within their bounds, whatever another handler does."""

from __future__ import annotations

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edgeflow.clock import monotonic_ns
from edgeflow.mqtt.subscriptions import Incoming, Subscriptions


def message(
    topic: bytes, payload: bytes = b"x", *, retained: bool = False, dup: bool = False
) -> paho.MQTTMessage:
    made = paho.MQTTMessage(topic=topic)
    made.payload, made.retain, made.dup = payload, retained, dup
    return made


def test_a_message_reaches_every_handler_of_its_topic_and_no_other() -> None:
    found: list[tuple[str, Incoming]] = []
    subscriptions = Subscriptions()
    for each in ("a/+", "a/b", "a/#", "b"):
        subscriptions.add(each, lambda incoming, each=each: found.append((each, incoming)), max_bytes=10)  # type: ignore[misc]
    assert subscriptions.filters == ("a/+", "a/b", "a/#", "b")
    before_ns = monotonic_ns()
    subscriptions.dispatch(message(b"a/b", b"hello", retained=True))
    assert [each for each, _ in found] == ["a/+", "a/b", "a/#"]
    incoming = found[0][1]
    assert (incoming.topic, incoming.payload, incoming.size) == ("a/b", b"hello", 5)
    assert (incoming.retained, incoming.duplicate) == (True, False)
    assert before_ns <= incoming.received_ns <= monotonic_ns()
    assert (incoming.response_topic, incoming.correlation) == ("", b"")


def test_an_answer_goes_where_the_sender_wants_it() -> None:
    found: list[Incoming] = []
    subscriptions = Subscriptions()
    subscriptions.add("a", found.append, max_bytes=10)
    asked = message(b"a", dup=True)
    asked.properties = Properties(PacketTypes.PUBLISH)
    asked.properties.ResponseTopic, asked.properties.CorrelationData = "answers", b"7"
    subscriptions.dispatch(asked)
    assert (found[0].response_topic, found[0].correlation, found[0].duplicate) == ("answers", b"7", True)


def test_a_message_that_is_too_large_is_refused_or_handed_over_without_its_payload() -> None:
    quiet: list[Incoming] = []
    answering: list[Incoming] = []
    subscriptions = Subscriptions()
    subscriptions.add("a", quiet.append, max_bytes=3)
    subscriptions.add("#", answering.append, max_bytes=3, report_larger=True)
    subscriptions.dispatch(message(b"a", b"123"))
    subscriptions.dispatch(message(b"a", b"1234"))
    assert [(each.payload, each.size) for each in quiet] == [(b"123", 3)]
    assert [(each.payload, each.size) for each in answering] == [(b"123", 3), (b"", 4)]


def test_a_handler_that_fails_affects_no_other() -> None:
    found: list[Incoming] = []
    subscriptions = Subscriptions()

    def fail(_incoming: Incoming) -> None:
        raise KeyError("boom")

    subscriptions.add("a", fail, max_bytes=10)
    subscriptions.add("a/#", found.append, max_bytes=10)
    subscriptions.dispatch(message(b"a"))
    subscriptions.dispatch(message(b"\xff\xfe"))  # no UTF-8: ends no connection
    assert [each.topic for each in found] == ["a"]


def test_the_later_handler_of_a_filter_replaces_the_earlier_one() -> None:
    first: list[Incoming] = []
    second: list[Incoming] = []
    subscriptions = Subscriptions()
    subscriptions.add("a", first.append, max_bytes=10)
    subscriptions.add("a", second.append, max_bytes=10)
    subscriptions.dispatch(message(b"a"))
    assert (len(first), len(second)) == (0, 1)
