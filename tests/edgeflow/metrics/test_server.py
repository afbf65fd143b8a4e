"""The page for Prometheus: what it says, and that no reader holds it up."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edgeflow.alarms import Alarms
from edgeflow.contracts.messages import Alarm
from edgeflow.errors import UsageError
from edgeflow.metrics.server import MetricsServer, bound_socket
from edgeflow.right_of_way import RightOfWay
from tests.support.waiting import wait_until


class Silent:
    """Takes alarms."""

    def publish_alarm(self, name: str, alarm: Alarm | None) -> None:
        """Nothing."""


class Source(Collector):
    """One gauge, or an error."""

    def __init__(self) -> None:
        self.broken = False

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        if self.broken:
            raise KeyError("no figures")
        yield GaugeMetricFamily("edgeflow_test", "A test.", 4)


@pytest.fixture
def alarms() -> Alarms:
    return Alarms("s", Silent())


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def port(alarms: Alarms, source: Source) -> Iterator[int]:
    listener = bound_socket("127.0.0.1:0")
    registry = CollectorRegistry()
    registry.register(source)
    with MetricsServer(listener, registry, alarms, RightOfWay()):
        yield listener.getsockname()[1]


def get(port: int, path: str = "/metrics", **headers: str) -> tuple[int, str, str]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.headers.get("content-type", "")


def test_prometheus_text_and_openmetrics_are_answered_and_nothing_else_is_here(port: int) -> None:
    status, page, kind = get(port)
    assert (status, kind.partition(";")[0]) == (200, "text/plain")
    assert "edgeflow_test 4.0\n" in page
    status, page, kind = get(port, Accept="application/openmetrics-text; version=1.0.0")
    assert (status, kind.partition(";")[0]) == (200, "application/openmetrics-text")
    assert page.endswith("# EOF\n")
    assert get(port, "/")[0] == 404
    assert get(port, "/metrics/../etc/passwd")[0] == 404


def test_figures_that_cannot_be_made_are_an_alarm_until_they_can(
    port: int, alarms: Alarms, source: Source
) -> None:
    source.broken = True
    assert get(port)[0] == 500
    assert [alarm.code for alarm in alarms.standing()] == ["metrics_stopped"]
    assert "no figures" in alarms.standing()[0].text
    source.broken = False
    assert get(port)[0] == 200
    assert alarms.standing() == ()


def test_readers_that_say_nothing_are_few_and_the_others_go_on(port: int) -> None:
    with ExitStack() as stack:
        silent = [
            stack.enter_context(closing(socket.create_connection(("127.0.0.1", port)))) for _ in range(12)
        ]
        wait_until(
            lambda: sum(is_closed(end) for end in silent) == 8
        )  # beyond four they are turned away at once
    wait_until(lambda: get_or_none(port) == 200)


def is_closed(end: socket.socket) -> bool:
    end.settimeout(0.1)
    try:
        return end.recv(1) == b""
    except TimeoutError:
        return False


def get_or_none(port: int) -> int | None:
    try:
        return get(port)[0]
    except (OSError, http.client.HTTPException):
        return None


def test_nonsense_is_refused_and_costs_nothing(port: int) -> None:
    with closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as end:
        end.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert b"400" in end.recv(200)
    assert get(port)[0] == 200


def test_an_address_in_use_or_of_another_computer_is_named() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(
            UsageError, match=f"metrics.listen {address}: cannot be listened at: Address already"
        ):
            bound_socket(address)
    with pytest.raises(UsageError, match=r"metrics.listen 192.0.2.1:9108: cannot be listened at"):
        bound_socket("192.0.2.1:9108")


def test_the_address_is_taken_before_it_is_served() -> None:
    with closing(bound_socket("127.0.0.1:0")) as one:
        port = one.getsockname()[1]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
