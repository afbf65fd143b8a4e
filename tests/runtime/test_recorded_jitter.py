"""Real cameras' jitter, drawn from recorded time stamps, with frames lost, repeated and late."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.synchronizer import SyncMode
from recorded_jitter import load_profile, simulate

RECORDINGS = (
    "4_cam_recording_recordings_recording_1_timestamps",
    "charuco_calibration_calibration_extrinsic_timestamps",
)


@pytest.mark.parametrize("name", RECORDINGS)
@pytest.mark.parametrize("mode", ["triggered", "hardware"])
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
