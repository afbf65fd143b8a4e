"""The notification protocol of systemd, spoken to a real datagram socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeflow.station.process.service_manager import ServiceManager

MS = 1_000_000


class Manager:
    """The other end."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.setblocking(False)

    def told(self) -> list[str]:
        found = []
        while True:
            try:
                found.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return found

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def address(tmp_path: Path) -> str:
    return str(tmp_path / "notify")


@pytest.fixture
def manager(address: str) -> Iterator[Manager]:
    made = Manager(address)
    yield made
    made.close()


@pytest.fixture
def service(address: str) -> Iterator[ServiceManager]:
    """A service of which a sign of life is wanted every 400 ms."""
    made = ServiceManager(address, watchdog_us=400_000)
    yield made
    made.close()


def test_start_and_end_are_told(manager: Manager, service: ServiceManager) -> None:
    service.extend(2.5, "opening the cameras")
    service.ready()
    service.stopping()
    assert manager.told() == [
        "EXTEND_TIMEOUT_USEC=2500000\nSTATUS=opening the cameras", "READY=1\nSTATUS=running", "STOPPING=1",
    ]  # fmt: skip


def test_the_watchdog_is_fed_four_times_within_its_time(manager: Manager, service: ServiceManager) -> None:
    for at_ms in (1000, 1001, 1099, 1100, 1150, 1300):
        service.feed(at_ms * MS)
    assert manager.told() == ["WATCHDOG=1"] * 3


def test_the_watchdog_waits_longer_during_a_long_step_also_one_that_fails(
    manager: Manager, service: ServiceManager
) -> None:
    told: list[str] = []

    def verify() -> None:
        with service.patience(600, "verifying two.bundle"):
            told.extend(manager.told())
            raise KeyError

    with pytest.raises(KeyError):
        verify()
    assert told == [
        "EXTEND_TIMEOUT_USEC=600000000\nSTATUS=verifying two.bundle", "WATCHDOG_USEC=1600000",
    ]  # fmt: skip
    assert manager.told() == ["WATCHDOG=1\nWATCHDOG_USEC=400000", "STATUS=running"]


def test_the_watchdogs_state_is_known_to_the_box(manager: Manager, service: ServiceManager) -> None:
    before = service.watchdog(900 * MS)
    assert (before.supervised, before.limit_s, before.fed_age_s) == (True, 0.4, None)
    service.feed(1000 * MS)
    service.feed(1050 * MS)  # too early to be sent
    assert service.watchdog(1075 * MS).fed_age_s == pytest.approx(0.075)
    manager.close()
    service.feed(1200 * MS)  # nobody takes it
    assert service.watchdog(1300 * MS).fed_age_s == pytest.approx(0.3)


def test_a_manager_that_does_not_watch_supervises_nothing(manager: Manager, address: str) -> None:
    service = ServiceManager(address)
    service.feed(MS)
    state = service.watchdog(MS)
    assert (state.supervised, state.limit_s, state.fed_age_s) == (False, None, None)
    service.close()


def test_an_abstract_address_is_understood() -> None:
    name = f"edgeflow-test-{os.getpid()}"
    manager = Manager(f"\0{name}")
    service = ServiceManager(f"@{name}")
    service.ready()
    assert manager.told() == ["READY=1\nSTATUS=running"]
    service.feed(MS)
    assert manager.told() == [], "nobody asked for signs of life"
    service.close()
    manager.close()


def test_a_manager_that_has_gone_or_does_not_read_holds_nothing_up(
    address: str, manager: Manager, service: ServiceManager, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2000):
        service.stopping()
    assert "was not told STOPPING=1" in caplog.text
    manager.close()
    Path(address).unlink()
    service.ready()
    assert "was not told READY=1" in caplog.text


@pytest.mark.parametrize(
    ("watchdog", "pid", "fed"),
    [
        ("400000", "", True),
        ("400000", "own", True),
        ("400000", "1", False),
        ("0", "", False),
        ("x", "", False),
    ],
)
def test_the_environment_says_who_is_meant_and_children_do_not_inherit_it(
    address: str, manager: Manager, watchdog: str, pid: str, fed: bool
) -> None:
    environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": watchdog, "HOME": "/root"}
    if pid:
        environment["WATCHDOG_PID"] = str(os.getpid()) if pid == "own" else pid
    service = ServiceManager.from_environment(environment)
    assert environment == {"HOME": "/root"}
    service.feed(MS)
    assert manager.told() == ["WATCHDOG=1"] * fed
    service.close()


def test_without_a_manager_nothing_is_sent() -> None:
    service = ServiceManager.from_environment({})
    service.ready()
    service.feed(MS)
    with service.patience(1, "x"):
        pass
    service.close()
