"""Images that come late: no part is ever decided by the image, or under the name, of another one."""

from __future__ import annotations

import pytest

from simulators.pairing_grid import SOURCES, Faults, Source, simulate

PARTS = 120
BAD = Faults(lost=0.01, ignored=0.01, unheard=0.02, held=0.02)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("period_ms", [100, 200, 500])
@pytest.mark.parametrize("latency_ms", [0, 150, 400])
def test_no_part_gets_the_image_or_the_name_of_another(
    source: Source, period_ms: float, latency_ms: float
) -> None:
    for seed in (1, 2):
        outcome = simulate(source, period_ms, latency_ms, parts=PARTS, faults=BAD, seed=seed)
        assert outcome.wrong == 0
    if source in ("software", "hardware, latch"):
        assert outcome.right > 0.6 * PARTS


@pytest.mark.parametrize("source", ["software", "hardware, latch"])
@pytest.mark.parametrize("period_ms", [100, 500])
@pytest.mark.parametrize("latency_ms", [60, 150, 400])
def test_where_exposures_are_known_delay_costs_no_part(
    source: Source, period_ms: float, latency_ms: float
) -> None:
    outcome = simulate(source, period_ms, latency_ms, jitter_ms=100, parts=PARTS)
    assert (outcome.right, outcome.wrong) == (PARTS, 0)


def test_transfer_that_the_box_file_bounds_below_half_a_period_costs_no_part_but_the_first() -> None:
    outcome = simulate("hardware, transfer_ms", 500, 200, jitter_ms=20, parts=PARTS)
    assert outcome.right >= PARTS - 1


def test_where_nothing_tells_when_images_were_exposed_no_part_is_decided() -> None:
    assert simulate("hardware, neither", 500, 60, parts=PARTS).right == 0
