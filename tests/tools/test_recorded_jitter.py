"""Real cameras' jitter, drawn from recorded time stamps, with frames lost, repeated and late."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.capture.synchronizer import SyncMode
from simulators.recorded_jitter import load_profile, simulate

FAST, SLOW = (
    "4_cam_recording_recordings_recording_1_timestamps",
    "charuco_calibration_calibration_extrinsic_timestamps",
)


@pytest.mark.parametrize(("name", "mode"), [(FAST, "triggered"), (SLOW, "triggered"), (SLOW, "hardware")])
def test_minutes_of_recorded_jitter_match_no_two_parts(shared: Path, name: str, mode: SyncMode) -> None:
    table = shared / "data" / "sync" / f"{name}.csv"
    if not table.exists():
        pytest.skip(f"no {table}")
    outcome = simulate(load_profile(table), mode, seconds=120)
    assert outcome.parts > 500
    assert outcome.sets == outcome.parts, "a part without a set, or with two"
    assert (outcome.false_matches, outcome.used_twice) == (0, 0)
    assert outcome.complete > 0.95 * outcome.parts, "what was not lost is matched"
    assert outcome.complete + outcome.missing + outcome.faulty == outcome.sets


@pytest.mark.parametrize("mode", ["free", "hardware"])
def test_webcams_that_are_as_far_apart_as_their_frames_are_refused_rather_than_mixed(
    shared: Path, mode: SyncMode
) -> None:
    """At 30 Hz, exposures follow each other by 28 ms and more, and views are up to 19 ms apart."""
    table = shared / "data" / "sync" / f"{FAST}.csv"
    if not table.exists():
        pytest.skip(f"no {table}")
    outcome = simulate(load_profile(table), mode, seconds=120)
    assert (outcome.false_matches, outcome.used_twice) == (0, 0)
    assert 0 < outcome.complete < outcome.parts
    assert outcome.skew_ms <= outcome.tolerance_ms
