"""The message that ends the connection is found by sending suspects alone; a killed broker finds none."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgeflow.mqtt.broker.suspects import SuspectMessages


def test_one_that_ends_the_connection_twice_alone_is_found_when_others_passed_in_between() -> None:
    suspicion = SuspectMessages()
    assert suspicion.connection_ended(["a", "b", "c"]) is None
    assert set(suspicion.keys) == {"a", "b", "c"}
    suspicion.passed("a")
    assert suspicion.connection_ended(["b"]) is None
    assert suspicion.keys == ("c", "b"), "the one that was never alone goes first"
    suspicion.passed("c")
    assert suspicion.connection_ended(["b"]) == "b"
    assert not suspicion


def test_twice_alone_is_not_enough_where_nothing_else_passed() -> None:
    suspicion = SuspectMessages()
    for _ in range(5):
        assert suspicion.connection_ended(["a"]) is None
    suspicion.passed("other")
    assert suspicion.connection_ended(["a"]) == "a"


def test_one_that_passed_begins_anew() -> None:
    suspicion = SuspectMessages()
    suspicion.connection_ended(["a"])
    suspicion.passed("other")
    suspicion.passed("a")
    assert "a" not in suspicion
    assert suspicion.connection_ended(["a"]) is None


def test_the_same_key_twice_in_flight_is_not_alone() -> None:
    suspicion = SuspectMessages()
    for _ in range(4):
        assert suspicion.connection_ended(["state", "state"]) is None
        suspicion.passed("other")


def test_a_message_that_is_not_sent_any_more_is_no_suspect() -> None:
    suspicion = SuspectMessages()
    suspicion.connection_ended(["a", "b"])
    suspicion.forget("a")
    assert suspicion.keys == ("b",)


KEYS = st.sampled_from("abcd")
EVENTS = st.lists(st.one_of(st.lists(KEYS, max_size=4), KEYS), max_size=60)


@given(EVENTS)
def test_nothing_is_found_guilty_without_two_ends_alone_and_others_between(
    events: list[list[str] | str],
) -> None:
    suspicion = SuspectMessages()
    alone: dict[str, int] = {}  # ends with the key alone since it last passed
    between: dict[str, bool] = {}
    for event in events:
        if isinstance(event, str):
            suspicion.passed(event)
            alone.pop(event, None)
            between = dict.fromkeys(alone, True)
            continue
        guilty = suspicion.connection_ended(event)
        if len(event) == 1:
            (key,) = event
            alone[key] = alone.get(key, 0) + 1
            assert (guilty == key) == (alone[key] >= 2 and between.get(key, False))
            if guilty:
                alone.pop(key)
                between.pop(key, None)
        else:
            assert guilty is None
