"""Alarms are told when they change, and what is told last is what stands."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import cast

from edgeflow.alarms import AlarmHysteresis, Alarms
from edgeflow.cameras.worker import CameraHealth, CameraStatusName
from edgeflow.contracts.messages import Alarm, CameraStatus
from edgeflow.monitoring.camera_health import CameraHealthReporter


class Told:
    """Remembers what was published, as a broker does."""

    def __init__(self) -> None:
        self.history: list[tuple[str, str | None]] = []
        self.retained: dict[str, Alarm | None] = {}
        self.statuses: list[CameraStatus] = []

    def publish_alarm(self, name: str, alarm: Alarm | None) -> None:
        self.history.append((name, alarm.text if alarm else None))
        self.retained[name] = alarm

    def publish_camera_status(self, status: CameraStatus) -> None:
        self.statuses.append(status)


def test_only_changes_are_told_and_since_stays() -> None:
    told = Told()
    alarms = Alarms("s", told)
    alarms.clear("outbox")
    for text in ("disk full", "disk full", "disk broken"):
        alarms.raise_("outbox", "error", text)
    (standing,) = alarms.standing()
    assert standing.text == "disk broken"
    alarms.clear("outbox")
    alarms.clear("outbox")
    assert told.history == [("outbox", "disk full"), ("outbox", "disk broken"), ("outbox", None)]
    assert alarms.standing() == ()


def test_alarms_are_counted_when_they_are_raised_not_when_they_change() -> None:
    alarms = Alarms("s", Told())
    for text in ("disk full", "disk broken"):
        alarms.raise_("outbox", "error", text)
    alarms.raise_("outbox", "warning", "refused", subject="delivery")
    alarms.clear_all()
    alarms.raise_("outbox", "error", "disk full")
    assert alarms.raised() == {"outbox": 3}


def test_one_alarm_per_camera() -> None:
    told = Told()
    alarms = Alarms("s", told)
    for view in ("left", "top"):
        alarms.raise_("camera_stale", "error", "no frame", subject=view)
    alarms.clear("camera_stale", subject="left")
    assert [alarm.name for alarm in alarms.standing()] == ["camera_stale.top"]
    assert alarms.clear_all() == 1
    assert set(told.retained.values()) == {None}


def test_what_many_threads_tell_ends_with_what_stands() -> None:
    told = Told()
    alarms = Alarms("s", told)

    def flutter(number: int) -> None:
        for turn in range(300):
            alarms.raise_("sync_mismatch", "error", f"{number}-{turn}")
            alarms.clear("sync_mismatch")
        if number == 0:
            alarms.raise_("outbox", "error", "stands")

    threads = [threading.Thread(target=flutter, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: alarm for name, alarm in told.retained.items() if alarm} == {
        alarm.name: alarm for alarm in alarms.standing()
    }
    assert [alarm.text for alarm in alarms.standing()] == ["stands"]


class Cameras:
    """Two cameras, in the health that a test gives them."""

    def __init__(self) -> None:
        self.status: dict[str, CameraStatusName] = {"left": "online", "top": "online"}
        self.over: set[str] = set()
        self.serials = {view: f"SN-{view}" for view in self.status}

    def statuses(self) -> Mapping[str, CameraHealth]:
        return {
            view: CameraHealth(
                view=view, status=cast("CameraStatusName", status), fps=None, last_frame_age_ms=None,
                reconnects=0, detail="" if status == "online" else "pulled", serial=self.serials[view],
                over=view in self.over,
            )
            for view, status in self.status.items()
        }  # fmt: skip


def test_a_camera_without_frames_is_an_alarm_until_they_come_again() -> None:
    told, cameras = Told(), Cameras()
    alarms = Alarms("s", told)
    degraded: list[tuple[str, ...]] = []
    reporter = CameraHealthReporter(cameras, told, alarms, "s", degraded.append)
    reporter.report()
    assert told.history == []
    for status, words in (("stale", "overdue"), ("offline", "pulled")):
        cameras.status["top"] = cast("CameraStatusName", status)
        reporter.report()
        (alarm,) = alarms.standing()
        assert alarm.subject == "top"
        assert words in alarm.text
    cameras.status["top"] = "online"
    reporter.report()
    assert alarms.standing() == ()
    assert degraded == [(), ("top",), ("top",), ()]


def test_a_recording_that_came_to_its_end_is_no_alarm() -> None:
    told, cameras = Told(), Cameras()
    alarms = Alarms("s", told)
    degraded: list[tuple[str, ...]] = []
    reporter = CameraHealthReporter(cameras, told, alarms, "s", degraded.append)
    cameras.status["top"], cameras.over = "offline", {"top"}
    reporter.report()
    assert [status.status for status in told.statuses if status.view == "top"] == ["offline"]
    assert alarms.standing() == ()
    assert degraded == [()]


def test_a_camera_s_status_is_told_when_it_changes_with_its_serial_number() -> None:
    told, cameras = Told(), Cameras()
    reporter = CameraHealthReporter(cameras, told, Alarms("s", told), "s", lambda _: None)
    reporter.report()
    reporter.report()
    assert [(status.view, status.serial) for status in told.statuses] == [
        ("left", "SN-left"), ("top", "SN-top"),
    ]  # fmt: skip
    cameras.serials["top"] = "another"  # exchanged, under the same address
    reporter.report()
    assert [(status.view, status.serial) for status in told.statuses[2:]] == [("top", "another")]


def test_a_problem_stands_until_good_observations_follow_one_another() -> None:
    hysteresis = AlarmHysteresis(3)
    hysteresis.bad("first")
    assert [hysteresis.good(), hysteresis.good()] == [False, False]
    hysteresis.bad("second")
    assert [hysteresis.good(), hysteresis.good(), hysteresis.problem] == [False, False, "first"]
    assert hysteresis.good()
    assert hysteresis.problem == ""
    hysteresis.bad("third")
    assert hysteresis.problem == "third"


def test_the_end_of_a_problem_is_reported_once_for_each_row() -> None:
    hysteresis = AlarmHysteresis(2)
    assert [hysteresis.good() for _ in range(4)] == [False, True, False, False]
    hysteresis.bad("again")
    assert [hysteresis.good() for _ in range(4)] == [False, True, False, False]
