"""Light that falls slowly on the demo's good parts, through the demo's real graph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.score_drift import Light, first_alarm, scores_under_light

GAINS = [1.0, 0.975, 0.95, 0.925, 0.9]
OVER = 40_000
STABLE = 3000


@pytest.fixture(scope="module")
def light(repository: Path) -> Light:
    demo = repository / "tools" / "demo"
    light = scores_under_light(demo / "housing.bundle", demo / "parts", GAINS)
    return replace(
        light, calibration=1
    )  # the demo's parts were picked, and so differ from those of calibration


def test_the_alarm_comes_before_twice_as_many_good_parts_are_rejected(light: Light) -> None:
    gain = np.concatenate([np.ones(STABLE), np.linspace(GAINS[0], GAINS[-1], OVER)])[: STABLE + OVER // 2]
    found = first_alarm(light, gain, np.random.default_rng(1))
    assert light.doubled_at > GAINS[-1]
    assert found is not None
    assert found >= STABLE
    assert gain[found] > light.doubled_at


def test_none_comes_while_the_light_is_steady(light: Light) -> None:
    assert first_alarm(light, np.ones(8000), np.random.default_rng(2)) is None
