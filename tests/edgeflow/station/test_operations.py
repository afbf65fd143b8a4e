"""Commands of a running box that change what it inspects, on a real bundle, without line and broker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgeflow.alarms import Alarms
from edgeflow.bundles.bundle import Bundle
from edgeflow.config.box import load_config
from edgeflow.contracts.manifest import Graph
from edgeflow.contracts.messages import Alarm, State
from edgeflow.decision.session import Session
from edgeflow.errors import IntegrityError, UsageError
from edgeflow.station.active_bundle import ActiveBundle, load_verified, open_for_box
from edgeflow.station.operations import Operations
from edgeflow.station.process.service_manager import ServiceManager
from edgeflow.station.state import StationState
from simulators.small_box import write_box
from simulators.small_bundle import small_bundle


class Manager(ServiceManager):
    """A service manager's own interface, which notes what it was asked to wait for."""

    def __init__(self) -> None:
        super().__init__("")
        self.waited: list[str] = []

    @contextmanager
    def patience(self, seconds: float, doing: str) -> Iterator[None]:
        self.waited.append(f"{doing} {seconds:g}")
        yield
        self.waited.append("over")


class Box:
    """Running box for commands."""

    def __init__(self, folder: Path, trust: bool) -> None:
        path = write_box(folder, 1)
        config = load_config(path)
        self.config = config if trust else config.model_copy(update={"trust": None})
        self.manager = Manager()
        self.told: list[str] = []
        session = Session(id="s")
        bundle, order = open_for_box(self.config, self.config.bundle)
        self.slot = ActiveBundle(load_verified(self.config, bundle, order, session=session))
        state = StationState(self, "s", lambda: "bracket")
        for event in ("opened", "prepared", "start"):
            state.move(event, "")  # type: ignore[arg-type]
        self.operations = Operations(
            config=self.config,
            session=session,
            bundles=self.slot,
            state=state,
            alarms=Alarms("s", self),
            evidence=None,
            publish_birth=self.publish_birth,
            manager=self.manager,
        )

    def publish_birth(self, bundle: Bundle, _graph: Graph, _chosen_by: str) -> None:
        self.told.append(f"{bundle.manifest.name} {bundle.manifest.version}")

    def publish_state(self, state: State) -> None:
        """Nobody listens."""

    def publish_alarm(self, name: str, alarm: Alarm | None) -> None:
        """Nobody listens."""


@pytest.fixture(params=[False, True], ids=["without trust", "with trust"])
def box(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Box]:
    made = Box(tmp_path, request.param)
    yield made
    made.slot.close()


def test_a_newer_bundle_of_the_product_is_taken_and_the_watchdog_waits_meanwhile(box: Box) -> None:
    assert "version 2" in box.operations.reload({"bundle": "two.bundle"})
    assert box.slot.newest.manifest.version == 2
    assert box.told == ["bracket 2"]
    assert box.manager.waited == ["verifying two.bundle 600", "over"]


def test_a_running_box_never_takes_another_product(box: Box, tmp_path: Path) -> None:
    small_bundle(tmp_path / "bundles" / "gasket.bundle", name="gasket", version=9)
    # Nothing ran here before: it is the running bundle that counts, also for a box that trusts everybody.
    with pytest.raises((UsageError, IntegrityError), match=r"gasket.*bracket"):
        box.operations.reload({"bundle": "gasket.bundle"})
    assert box.slot.newest.manifest.name == "bracket"
    assert box.told == []
    assert box.manager.waited == [], "refused before anything was verified"
    assert (tmp_path / "bundles" / "current.bundle").readlink() == Path("one.bundle")


def test_who_stops_a_station_is_told_that_a_restart_starts_it(box: Box) -> None:
    assert "a restart of the box starts it, too" in box.operations.stop({})
    assert box.operations.state.now == "Ready"
