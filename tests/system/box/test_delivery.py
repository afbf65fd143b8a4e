"""Results reach their consumer whatever happens to the broker, the consumer or the box."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import paho.mqtt.client as paho
import pytest

from edgeflow.config.box import BoxConfig
from edgeflow.contracts.messages import Ack, Dropped, Result, from_json, to_json
from edgeflow.delivery.outbox import open_outbox
from edgeflow.delivery.sender import ResultSender
from edgeflow.mqtt.link import MqttLink

if TYPE_CHECKING:
    from tests.system.conftest import Broker, Client

ROOT = "edgeflow/v1/plant1/l3/s2"
Clients = Callable[[str], "Client"]
Results = Callable[[int], Result]
Until = Callable[[Callable[[], bool]], None]


class Box:
    """Outbox, link and delivery, as the line starts them."""

    def __init__(self, config: BoxConfig, confirm: Literal["consumer", "broker"]) -> None:
        self.outbox = open_outbox(config.outbox)
        self.link = MqttLink(config, "session-a")
        self.delivery = ResultSender(self.outbox, self.link, confirm)
        self._ended = False
        self.link.start()
        self.delivery.start()

    def put(self, result: Result) -> None:
        self.outbox.put(result)

    def end(self, drain_s: float = 0.0) -> int:
        """Shut down as the line does; safe to call twice. Returns how many results still wait."""
        if self._ended:
            return 0
        self._ended = True
        left = self.delivery.close(drain_s)
        self.link.stop()
        self.outbox.close()
        return left


Boxes = Callable[[Literal["consumer", "broker"]], Box]


@pytest.fixture
def start_box(box_config: Callable[..., BoxConfig]) -> Iterator[Boxes]:
    made: list[Box] = []

    def make(confirm: Literal["consumer", "broker"]) -> Box:
        made.append(Box(box_config(), confirm))
        return made[-1]

    yield make
    for box in made:
        box.end()


def acknowledge(client: paho.Client, message: paho.MQTTMessage) -> None:
    """Acknowledge a result as a consumer does."""
    record = from_json(Result, bytes(message.payload))
    client.publish(f"{ROOT}/result/ack", to_json(Ack(result_ids=(record.result_id,))), 1)


def consume(client: Clients, *, acking: bool) -> Client:
    consumer = client(f"{ROOT}/result")
    if acking:
        consumer.on_message = acknowledge
    return consumer


def records(consumer: Client) -> list[Result]:
    return [from_json(Result, payload.encode()) for payload in consumer.payloads("/result")]


def ids(consumer: Client) -> set[str]:
    return {record.result_id for record in records(consumer)}


def test_results_arrive_in_order_once_and_fresh(
    client: Clients, start_box: Boxes, make_result: Results, until: Until
) -> None:
    consumer = consume(client, acking=True)
    box = start_box("consumer")
    until(lambda: box.link.connected)
    for number in range(50):
        box.put(make_result(number))
    until(lambda: box.outbox.count() == 0)
    assert records(consumer) == [make_result(number) for number in range(50)]


def test_nothing_is_lost_while_the_broker_is_killed_again_and_again(
    broker: Broker, client: Clients, start_box: Boxes, make_result: Results
) -> None:
    consumer = consume(client, acking=True)
    box = start_box("consumer")

    def inspect() -> None:
        for number in range(240):
            box.put(make_result(number))
            time.sleep(0.01)

    line = threading.Thread(target=inspect)
    line.start()
    for kills in (1, 2, 3):
        consumer.wait_for_more(10)
        broker.kill()
        broker.start()
        consumer.wait_until_subscribed(kills + 1)
    line.join()
    assert box.end(drain_s=20.0) == 0
    assert ids(consumer) == {f"r-{number}" for number in range(240)}


def test_with_broker_confirmation_what_a_killed_broker_did_not_confirm_comes_again(
    broker: Broker, client: Clients, start_box: Boxes, make_result: Results, until: Until
) -> None:
    consumer = consume(client, acking=False)
    box = start_box("broker")
    until(lambda: box.link.connected)
    for kills in (1, 2):
        broker.freeze()
        for number in range(20 * kills, 20 * kills + 20):
            box.put(make_result(number))
        until(lambda: box.delivery._window.unanswered == box.link.result_window)
        broker.kill()
        broker.start()
        consumer.wait_until_subscribed(kills + 1)
        until(lambda: box.outbox.count() == 0)
    consumer.wait(lambda: len(ids(consumer)) == 40)


def test_results_wait_for_a_broker_that_is_not_there_yet(
    broker: Broker, client: Clients, start_box: Boxes, make_result: Results, until: Until
) -> None:
    broker.kill()
    box = start_box("consumer")
    for number in range(30):
        box.put(make_result(number))
    assert box.outbox.flush()
    broker.start()
    consumer = consume(client, acking=True)
    until(lambda: box.outbox.count() == 0)
    assert ids(consumer) == {f"r-{number}" for number in range(30)}
    assert all(record.replayed for record in records(consumer))
    box.put(make_result(30))
    until(lambda: box.outbox.count() == 0)
    assert not records(consumer)[-1].replayed


def test_what_is_not_acknowledged_comes_again_and_says_so(
    client: Clients, start_box: Boxes, make_result: Results, until: Until
) -> None:
    consumer = consume(client, acking=False)
    box = start_box("consumer")
    until(lambda: box.link.connected)
    time.sleep(0.1)
    box.put(make_result(1))
    consumer.wait(lambda: len(consumer.messages) == 1)
    assert box.outbox.count() == 1
    consumer.on_message = acknowledge
    until(lambda: box.outbox.count() == 0)
    first, second = records(consumer)
    assert (first.attempt, first.replayed) == (1, False)
    assert (second.attempt, second.replayed) == (2, True)
    assert second.model_copy(update={"attempt": 1, "replayed": False}) == first
    properties: Any = consumer.messages[1].properties
    assert ("replayed", "true") in properties.UserProperty


def test_a_silent_consumer_is_asked_less_and_less_often_until_it_speaks(
    client: Clients, start_box: Boxes, make_result: Results, until: Until
) -> None:
    consumer = consume(client, acking=False)
    box = start_box("consumer")
    until(lambda: box.link.connected)
    box.put(make_result(1))
    consumer.wait(lambda: len(consumer.messages) == 2)
    assert box.delivery._window.retry_s == 2.0
    consumer.on_message = acknowledge
    until(lambda: box.outbox.count() == 0)
    numbers = itertools.count(2)

    def is_quick_again() -> bool:  # the box learns it from prompt answers, however long a busy machine takes
        box.put(make_result(next(numbers)))
        until(lambda: box.outbox.count() == 0)
        return box.delivery._window.retry_s == 1.0

    until(is_quick_again)


def test_with_broker_confirmation_a_result_waits_for_a_first_subscriber(
    client: Clients, start_box: Boxes, make_result: Results, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    box = start_box("broker")
    until(lambda: box.link.connected)
    for number in range(30):
        box.put(make_result(number))
    until(lambda: "nobody subscribes" in caplog.text)
    assert box.outbox.flush()
    assert box.outbox.count() == 30
    consumer = consume(client, acking=False)
    until(lambda: box.outbox.count() == 0)
    consumer.wait(lambda: ids(consumer) == {f"r-{number}" for number in range(30)})
    assert caplog.text.count("nobody subscribes") == 1


def test_what_was_given_up_is_told_and_told_again_until_it_is_acknowledged(
    box_config: Callable[..., BoxConfig], client: Clients, make_result: Results, until: Until
) -> None:
    config = box_config()
    limited = config.outbox.model_copy(update={"max_rows": 5})
    box = Box(config.model_copy(update={"outbox": limited}), "consumer")
    consumer = client(f"{ROOT}/#")

    def records() -> list[Dropped]:
        return [from_json(Dropped, payload.encode()) for payload in consumer.payloads("/dropped")]

    for number in range(20):
        box.put(make_result(number))
    consumer.wait(lambda: len({i for record in records() for i in record.result_ids}) == 15)
    consumer.wait(lambda: any(record.attempt == 2 and record.replayed for record in records()))
    assert {i for record in records() for i in record.result_ids} == {f"r-{n}" for n in range(15)}
    waiting = {record.record_id for record in records()} | {f"r-{number}" for number in range(15, 20)}
    consumer.publish(f"{ROOT}/result/ack", to_json(Ack(result_ids=tuple(waiting))))
    until(lambda: box.outbox.count() == 0)
    box.end()


def test_what_one_run_leaves_the_next_delivers(
    client: Clients, start_box: Boxes, make_result: Results, until: Until, tmp_path: Path
) -> None:
    first = start_box("consumer")
    until(lambda: first.link.connected)
    for number in range(5):
        first.put(make_result(number))
    assert first.end(drain_s=0.2) == 5  # nobody acknowledges
    assert (tmp_path / "outbox.db").exists()
    consumer = consume(client, acking=True)
    second = start_box("consumer")
    until(lambda: second.outbox.count() == 0)
    assert ids(consumer) == {f"r-{number}" for number in range(5)}
    assert all(record.replayed for record in records(consumer))


def test_shutdown_delivers_what_waits(
    client: Clients, start_box: Boxes, make_result: Results, until: Until
) -> None:
    consumer = consume(client, acking=True)
    box = start_box("consumer")
    for number in range(100):
        box.put(make_result(number))
    assert box.end(drain_s=10.0) == 0
    assert len(ids(consumer)) == 100


def test_a_decision_is_not_kept_waiting_by_results(
    client: Clients, start_box: Boxes, make_result: Results, until: Until
) -> None:
    watcher = client(f"{ROOT}/result")
    box = start_box("consumer")
    until(lambda: box.link.connected)
    for number in range(200):
        box.put(make_result(number))
    watcher.wait(lambda: len(watcher.messages) > 20)
    assert box.delivery._window.unanswered <= box.link.result_window < 20


def test_an_ack_for_unknown_results_changes_nothing(
    client: Clients, start_box: Boxes, make_result: Results, until: Until
) -> None:
    consumer = consume(client, acking=False)
    box = start_box("consumer")
    until(lambda: box.link.connected)
    box.put(make_result(1))
    consumer.wait(lambda: len(consumer.messages) == 1)
    unknown = json.dumps({"schema": "edgeflow/ack/1", "result_ids": ["r-77"]})
    consumer.publish(f"{ROOT}/result/ack", unknown.encode())
    consumer.wait(lambda: len(consumer.messages) == 2)  # it comes again
    assert box.outbox.count() == 1
