"""Latency of images, and the alarm where it mixes parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgeflow.cameras.camera import Frame
from edgeflow.config.box import BoxConfig
from edgeflow.contracts.documents.document import parse_document
from edgeflow.errors import ConfigError
from edgeflow.monitoring.transfer_monitor import TransferMonitor

MS = 1_000_000


def box(trigger: dict[str, Any], sync: dict[str, Any] | None = None) -> BoxConfig:
    hardware = trigger["source"] == "hardware"
    camera = {"kind": "genicam", "serial": "1"} | ({"trigger_line": "Line1"} if hardware else {})
    document = {
        "station": {"site": "s", "line": "l", "station": "t"},
        "bundle": "none",
        "trigger": {"timeout_ms": 400, **trigger},
        "cameras": {"top": camera},
        "sync": {"max_skew_ms": 2, **(sync or {})},
        "decision": {"deadline_ms": 1000},
        "runtime": {"backend": "openvino"},
        "mqtt": {"host": "localhost"},
        "outbox": {"path": "outbox.db"},
    }
    return parse_document(BoxConfig, document, what="box", error=ConfigError)


NAMED = {"source": "hardware", "part_ids": "mqtt", "part_id_window_ms": 80}


def watched(
    config: BoxConfig, latency_ms: float, *, unsure_ms: float | None = 0.5, clock: bool = True
) -> TransferMonitor:
    watch = TransferMonitor(config)
    frame = Frame(
        view="top", image=np.zeros((1, 1, 3), np.uint8), captured_ns=10**12, frame_id=0,
        device_ns=5 if clock else None, unsure_ns=None if unsure_ms is None else round(unsure_ms * MS),
    )  # fmt: skip
    watch.arrived(frame, 10**12 + round(latency_ms * MS))
    return watch


def test_the_slowest_of_the_latest_images_counts() -> None:
    watch = watched(box({"source": "interval", "period_ms": 500}), 30)
    assert watch.latencies_ms() == {"top": 30}
    assert watch.problem == ""


@pytest.mark.parametrize(("latency_ms", "words"), [(399, ""), (400, "longer than trigger.timeout_ms 400")])
def test_images_later_than_the_timeout_are_an_alarm_at_start(latency_ms: float, words: str) -> None:
    problem = watched(box({"source": "mqtt"}), latency_ms).problem
    assert words in problem
    assert bool(problem) == bool(words)


@pytest.mark.parametrize(("latency_ms", "told"), [(99, False), (100, True)])
def test_images_as_late_as_the_next_trigger_are_told(latency_ms: float, told: bool) -> None:
    problem = watched(box({"source": "interval", "period_ms": 100}), latency_ms).problem
    assert ("told apart by counting" in problem) == told
    assert bool(watched(box({"source": "mqtt", "min_period_ms": 100}), latency_ms).problem) == told


def test_a_camera_on_a_line_without_latch_asks_for_its_transfer() -> None:
    assert "give sync.transfer_ms" in watched(box(NAMED), 30, unsure_ms=None).problem
    assert watched(box(NAMED, {"transfer_ms": 70}), 30, unsure_ms=None).problem == ""
    assert watched(box(NAMED), 30).problem == ""


def test_a_line_without_names_needs_only_how_far_transfer_pulls_stamps_apart() -> None:
    config = box({"source": "hardware"}, {"window_ms": 50})
    assert watched(config, 30, unsure_ms=None).problem == ""
    assert "give sync.transfer_ms" in watched(box({"source": "hardware"}), 30, unsure_ms=None).problem


@pytest.mark.parametrize(("transfer_ms", "told"), [(79, False), (80, True), (300, True)])
def test_exposures_known_too_loosely_to_name_parts_are_told(transfer_ms: float, told: bool) -> None:
    problem = watched(box(NAMED, {"transfer_ms": transfer_ms}), 30, unsure_ms=None).problem
    assert ("cannot be named for sure" in problem) == told
    wider = box({**NAMED, "min_period_ms": 500}, {"transfer_ms": transfer_ms})
    assert watched(wider, 30, unsure_ms=None).problem == ""


def test_cameras_without_a_clock_of_their_own_tell_nothing() -> None:
    watch = watched(box({"source": "interval", "period_ms": 100}), 5000, unsure_ms=None, clock=False)
    assert (watch.latencies_ms(), watch.problem) == ({}, "")
