"""The send window counts what is under way, and says when which result is due again."""

from __future__ import annotations

from edgeflow.delivery.in_flight import InFlight
from edgeflow.delivery.send_window import SendWindow
from edgeflow.mqtt.events import Receipt


def receipt(message_id: int, connection: int = 1) -> Receipt:
    return Receipt(connection=connection, message_id=message_id)


def send(window: SendWindow, number: int, now_s: float, connection: int = 1) -> InFlight:
    """Send the next new result, ``r-NUMBER`` with this row id."""
    result = window.add(f"r-{number}", number)
    window.begin(result, number)
    window.sent(f"r-{number}", result, receipt(number, connection), size=10, now_s=now_s)
    return result


def answered(window: SendWindow, number: int, connection: int = 1) -> None:
    """The broker takes a message, the consumer has not confirmed it."""
    assert window.answered(receipt(number, connection)) == f"r-{number}"
    window.taken()


def due(window: SendWindow, now_s: float) -> list[str]:
    return [result_id for result_id, _ in window.due(now_s)]


def send_again(window: SendWindow, number: int, now_s: float, message_id: int) -> tuple[int, bool]:
    result = window[f"r-{number}"]
    attempt = window.begin(result, number)
    window.sent(f"r-{number}", result, receipt(message_id), size=10, now_s=now_s)
    answered_id = window.answered(receipt(message_id))
    assert answered_id == f"r-{number}"
    return attempt


def test_a_result_is_in_the_window_until_it_is_confirmed() -> None:
    window = SendWindow(0)
    assert window.newest_sent == 0
    send(window, 7, 1.0)
    assert window.newest_sent == 7
    assert "r-7" in window
    assert window["r-7"].size == 10
    assert window["r-7"].attempts == 1
    assert window.unanswered == 1
    assert window.confirm(["r-7"], 1.1)
    assert "r-7" not in window
    assert window.unanswered == 1  # the broker still has to answer
    assert window.answered(receipt(7)) == "r-7"
    assert window.unanswered == 0


def test_a_confirmation_of_something_else_is_no_confirmation() -> None:
    window = SendWindow(0)
    assert not window.confirm(["r-1"], 1.0)
    send(window, 1, 1.0)
    assert window.confirm(["r-9", "r-1", "r-1"], 1.0)
    assert window.answered(receipt(99)) is None


def test_the_broker_bounds_what_it_has_not_answered() -> None:
    window = SendWindow(0)
    assert window.room(12) == 12
    for number in range(1, 4):
        send(window, number, 0.0)
    assert window.room(12) == 9
    assert window.room(3) == 0
    answered(window, 1)
    assert window.room(3) == 1


def test_at_most_300_results_wait_for_their_confirmation() -> None:
    window = SendWindow(0)
    for number in range(1, 300):
        send(window, number, 0.0)
        answered(window, number)
    assert window.room(1000) == 1
    send(window, 300, 0.0)
    answered(window, 300)
    assert window.room(1000) == 0
    assert window.confirm(["r-5"], 0.1)
    assert window.room(1000) == 1


def test_results_that_nobody_ever_confirms_make_room_for_others() -> None:
    window = SendWindow(0)
    for number in range(1, 1401):
        send(window, number, 0.0)
        answered(window, number)
    assert window.room(2000) == -1100
    for attempt in range(3):
        for number in range(1, 301):
            send_again(window, number, 1.0, 10_000 * attempt + number)
    assert window.room(2000) == -800
    for attempt in range(3):
        for number in range(301, 1401):
            send_again(window, number, 1.0, 10_000 * attempt + number)
    assert window.room(2000) == -100  # 1000 of them count as overtaken, no more


def test_what_was_stored_before_the_connection_is_backlog_and_a_replay() -> None:
    window = SendWindow(2)
    assert window.in_backlog
    assert window.begin(window.add("r-1", 1), 1) == (1, True)
    assert window.in_backlog
    assert window.begin(window.add("r-2", 2), 2) == (1, True)
    assert not window.in_backlog
    assert window.begin(window.add("r-3", 3), 3) == (1, False)
    window.connected(2, 5)
    assert window.in_backlog
    assert window.begin(window.add("r-5", 5), 5) == (1, True)
    assert not window.in_backlog


def test_every_later_attempt_is_a_replay_with_its_number() -> None:
    window = SendWindow(0)
    send(window, 1, 0.0)
    answered(window, 1)
    assert send_again(window, 1, 1.0, 50) == (2, True)
    assert send_again(window, 1, 2.0, 51) == (3, True)


def test_an_unconfirmed_result_is_due_after_a_second_then_two_and_at_most_thirty() -> None:
    window = SendWindow(0)
    send(window, 1, 0.0)
    assert due(window, 0.9) == []
    assert due(window, 1.1) == []  # the broker has not answered yet: its connection decides
    answered(window, 1)
    sent_s, message_id, waits = 0.0, 100, []
    for _ in range(7):
        now_s = sent_s
        while due(window, now_s) == []:
            now_s += 0.25
        waits.append(now_s - sent_s)
        send_again(window, 1, now_s, message_id)
        sent_s, message_id = now_s, message_id + 1
    assert waits[0] <= 1.25
    assert waits[1:] == [2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_due_results_come_oldest_first_and_exactly_at_their_time() -> None:
    window = SendWindow(0)
    for number, at_s in ((1, 0.0), (2, 0.0), (3, 0.5)):
        send(window, number, at_s)
        answered(window, number)
    assert due(window, 1.0) == ["r-1", "r-2"]


def test_a_look_for_due_results_comes_every_50_ms_unless_it_is_wanted_at_once() -> None:
    window = SendWindow(0)
    send(window, 1, 9.01)
    answered(window, 1)
    assert due(window, 10.0) == []
    assert due(window, 10.04) == []
    assert due(window, 10.05) == ["r-1"]
    assert due(window, 10.06) == []
    window.look_again()
    assert due(window, 11.02) == ["r-1"]


def late_window(count: int) -> SendWindow:
    """So many results were sent within the first second, and the consumer confirms none."""
    window = SendWindow(0)
    for number in range(1, count + 1):
        send(window, number, number / 1000)
        answered(window, number)
    return window


def test_a_slow_consumer_does_not_get_everything_twice() -> None:
    window = late_window(300)
    probes = due(window, 2.0)
    assert probes == [f"r-{number}" for number in range(251, 301)]
    for number in range(251, 301):
        send_again(window, number, 2.0, 1000 + number)
    assert due(window, 2.1) == []  # those are on their way
    window.confirm(["r-1", "r-251"], 2.2)  # it was only slow: nothing more is sent
    window.look_again()
    assert due(window, 2.2) == []


def test_what_a_consumer_has_lost_comes_at_once_when_it_confirms_what_was_sent_later() -> None:
    window = late_window(300)
    for number in [int(each.removeprefix("r-")) for each in due(window, 2.0)]:
        send_again(window, number, 2.0, 1000 + number)
    window.confirm(["r-251", "r-252"], 2.1)
    assert due(window, 2.1) == [f"r-{number}" for number in range(1, 251)]


def test_a_window_full_of_results_that_nobody_confirms_makes_room_after_seven_seconds() -> None:
    window = late_window(300)
    assert window.room(2000) == 0
    for now_s, message_id in ((2.0, 1000), (4.0, 2000), (8.0, 3000)):
        for number in [int(each.removeprefix("r-")) for each in due(window, now_s)]:
            send_again(window, number, now_s, message_id + number)
    assert window.room(2000) == 300


def test_a_pause_of_the_consumer_leaves_room_for_few_and_one_bad_result_does_not() -> None:
    window = late_window(2)
    window.confirm(["r-2"], 0.01)
    assert window.room(1000) == 299
    assert due(window, 2.0) == ["r-1"]
    assert window.room(1000) == 29  # the consumer knows how to confirm, and did not
    send_again(window, 1, 2.0, 1000)
    for number in range(3, 303):
        send(window, number, 2.1)
        answered(window, number)
        window.confirm([f"r-{number}"], 2.11)
    assert window.room(1000) == 299
    assert due(window, 9.0) == ["r-1"]  # nobody ever confirms that one
    assert window.room(1000) == 299


def test_results_that_are_late_take_turns() -> None:
    window = late_window(120)
    sent: list[int] = []
    for now_s, message_id in ((2.0, 1000), (4.0, 2000), (8.0, 3000)):
        for number in [int(each.removeprefix("r-")) for each in due(window, now_s)]:
            send_again(window, number, now_s, message_id + number)
            sent.append(number)
    assert sent[:100] == [*range(71, 121), *range(21, 71)]
    assert set(sent) == set(range(1, 121))


def test_a_new_connection_makes_everything_of_earlier_ones_due_at_once() -> None:
    window = SendWindow(0)
    send(window, 1, 0.0)
    send(window, 2, 0.0, connection=2)
    window.connected(2, 2)
    assert due(window, 0.01) == ["r-1"]
    assert window.unanswered == 1
    assert window.answered(receipt(1)) is None
    assert window.answered(receipt(2, connection=2)) == "r-2"
    assert not window["r-1"].awaits_broker


def test_a_new_connection_brings_the_retry_delay_back_to_a_second() -> None:
    window = SendWindow(0)
    send(window, 1, 0.0)
    answered(window, 1)
    assert due(window, 1.0) == ["r-1"]
    send_again(window, 1, 1.0, 50)
    assert due(window, 2.5) == []
    window.connected(2, 1)
    assert due(window, 2.5) == ["r-1"]
    send_again(window, 1, 2.5, 51)
    assert due(window, 3.4) == []
    assert due(window, 3.5) == ["r-1"]


def test_the_retry_delay_follows_what_this_consumer_takes() -> None:
    window = SendWindow(0)
    send(window, 1, 0.0)
    answered(window, 1)
    assert window.confirm(["r-1"], 3.0)  # mean 3 s, spread 1.5 s: twice (3 + 4 × 1.5) s
    send(window, 2, 10.0)
    answered(window, 2)
    assert due(window, 27.9) == []
    assert due(window, 28.0) == ["r-2"]


def test_the_confirmation_of_a_later_attempt_is_measured_from_the_first() -> None:
    window = SendWindow(0)
    send(window, 1, 0.0)
    answered(window, 1)
    send_again(window, 1, 2.5, 50)
    assert window.confirm(["r-1"], 3.0)
    send(window, 2, 10.0)
    answered(window, 2)
    assert due(window, 27.9) == []
    assert due(window, 28.0) == ["r-2"]


def test_a_refusal_holds_all_results_for_the_retry_delay_once_per_burst() -> None:
    window = SendWindow(0)
    for number in (1, 2):
        send(window, number, 0.0)
        assert window.answered(receipt(number)) == f"r-{number}"
    assert not window.is_held(0.0)
    assert window.refused("r-1", 5.0)
    assert not window.refused("r-2", 5.5)
    assert window.is_held(5.99)
    assert not window.is_held(6.0)
    assert due(window, 6.0) == ["r-1", "r-2"]


def test_the_pause_after_a_refusal_grows_and_ends_with_a_confirmation() -> None:
    window = SendWindow(0)
    send(window, 1, 0.0)
    send(window, 2, 0.0)
    ends = []
    now_s = 5.0
    for _ in range(5):
        assert window.refused("r-1", now_s)
        while window.is_held(now_s):
            now_s += 0.5
        ends.append(now_s)
    assert ends == [6.0, 8.0, 10.0, 14.0, 18.0]  # it is raised only where it has passed once
    assert window.refused("r-1", now_s)
    assert window.confirm(["r-2"], 18.0)
    assert not window.is_held(18.0)


def test_what_came_while_all_waited_is_backlog() -> None:
    window = SendWindow(0)
    send(window, 1, 0.0)
    assert not window.backlog_grew
    assert window.refused("r-1", 5.0)
    assert window.backlog_grew
    assert not window.in_backlog
    window.extend_backlog(4)
    assert not window.backlog_grew
    assert window.in_backlog
    assert window.begin(window.add("r-4", 4), 4) == (1, False)  # stored during this connection
    assert not window.in_backlog


def test_a_result_that_alone_is_refused_waits_alone() -> None:
    window = SendWindow(0)
    for number in (1, 2):
        send(window, number, 0.0)
    assert window.refused("r-1", 1.0)
    answered(window, 2)
    assert window.answered(receipt(1)) == "r-1"
    assert not window.refused("r-1", 10.0)
    assert not window.is_held(10.0)
    assert window["r-1"].refused == 1
    assert window["r-1"].sent_s == 10.0
    assert window.refused("r-1", 20.0)  # nothing was taken since: it may be meant for all
    assert window["r-1"].refused == 1


def test_a_result_that_is_removed_is_not_due() -> None:
    window = SendWindow(0)
    send(window, 1, 0.0)
    answered(window, 1)
    window.remove("r-1")
    window.remove("r-1")
    assert due(window, 9.0) == []
    assert not window.confirm(["r-1"], 9.0)


def test_a_new_connection_ends_the_pause_after_a_refusal() -> None:
    window = SendWindow(0)
    send(window, 1, 0.0)
    assert due(window, 5.0) == []
    assert window.refused("r-1", 5.0)
    window.connected(2, 1)
    assert not window.is_held(5.0)
    assert due(window, 5.0) == ["r-1"]


def test_a_refused_result_is_due_at_once_after_the_pause() -> None:
    window = SendWindow(0)
    send(window, 1, 4.9)
    assert window.answered(receipt(1)) == "r-1"
    assert due(window, 4.99) == []
    assert window.refused("r-1", 5.0)
    assert due(window, 5.01) == ["r-1"]


def test_a_result_that_others_pass_again_and_again_waits_longer() -> None:
    window = SendWindow(0)
    send(window, 1, 0.0)
    answered(window, 1)
    for attempt in (1, 2):
        send(window, 10 + attempt, 5.0)
        assert window.confirm([f"r-{10 + attempt}"], 5.0)
        send_again(window, 1, 5.0 * attempt, 50 + attempt)
    assert window["r-1"].passed_over == 2
    assert due(window, 13.9) == []  # four seconds after the last attempt, where others wait one
    assert due(window, 14.0) == ["r-1"]


def test_the_delay_of_a_confirmation_is_measured_wherever_the_clock_stands() -> None:
    window = SendWindow(0)
    send(window, 1, 100.0)
    assert window.confirm(["r-1"], 103.0)
    send(window, 2, 110.0)
    answered(window, 2)
    assert due(window, 127.9) == []
    assert due(window, 128.0) == ["r-2"]
