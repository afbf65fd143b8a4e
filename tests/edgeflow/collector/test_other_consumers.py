"""A second consumer is noticed, and so are two boxes under one name."""

from __future__ import annotations

import json

from edgeflow.collector.other_consumers import OtherConsumers, Registration, SessionWatch, registration_of

TOPIC = "edgeflow/collector/quality/c9"


def others() -> OtherConsumers:
    return OtherConsumers(group="collector", name="c1", store="db-1")


def registered(
    group: str = "collector", name: str = "c2", state: str = "collecting", store: str = "db-1"
) -> Registration:
    return Registration(group=group, name=name, state=state, store=store)


def test_a_registration_is_read_from_topic_and_message() -> None:
    payload = json.dumps({"state": "collecting", "store": "db-2"}).encode()
    assert registration_of(TOPIC, payload) == Registration(
        group="quality", name="c9", state="collecting", store="db-2"
    )
    assert registration_of(TOPIC, b"") == Registration(group="quality", name="c9", state="", store="")
    assert registration_of(TOPIC, b"{no") is None


def test_another_collector_of_the_group_is_no_problem() -> None:
    seen = others()
    seen.registered(registered())
    seen.acknowledged("r", "collector", 1.0)
    assert seen.problems(2.0) == []


def test_another_group_is_a_problem_until_it_is_over() -> None:
    seen = others()
    seen.registered(registered(group="quality"))
    assert seen.problems(0.0) == ["collector 'c2' of group 'quality' collects into another database"]
    seen.registered(registered(group="quality", state=""))
    assert seen.problems(0.0) == []


def test_another_database_of_the_group_is_a_problem() -> None:
    seen = others()
    seen.registered(registered(store="db-2"))
    assert len(seen.active()) == 1


def test_one_that_stands_by_is_no_problem() -> None:
    seen = others()
    seen.registered(registered(group="quality", state="standing by"))
    assert seen.problems(0.0) == []


def test_an_acknowledgement_of_another_program_is_told_for_a_minute() -> None:
    seen = others()
    seen.acknowledged("edgeflow/v1/a/b/c", "", 10.0)
    assert seen.problems(60.0) == ["a program that is no collector acknowledges results (edgeflow/v1/a/b/c)"]
    assert seen.problems(71.0) == []


def test_a_box_that_starts_again_is_one_box() -> None:
    watch = SessionWatch()
    assert not watch.add("r", "a", 0.0, replayed=False)
    assert not watch.add("r", "b", 1.0, replayed=False)
    assert not watch.add("r", "a", 2.0, replayed=True)  # what waited of the session before
    assert not watch.add("r", "c", 3.0, replayed=False)
    assert watch.two_boxes(4.0) == []


def test_two_boxes_under_one_name_are_noticed() -> None:
    watch = SessionWatch()
    watch.add("r", "a", 0.0, replayed=False)
    watch.add("r", "b", 1.0, replayed=False)
    assert watch.add("r", "a", 2.0, replayed=False)
    assert watch.two_boxes(3.0) == ["r"]
    assert watch.two_boxes(3000.0) == []


def test_boxes_with_names_of_their_own_do_not_mix() -> None:
    watch = SessionWatch()
    for number in range(4):
        assert not watch.add(f"r{number % 2}", f"s{number % 2}", float(number), replayed=False)
