"""The cheapest foreground within budgets, and what is said of those passed over."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from edgeflow.contracts.manifest import Scoring
from edgeflow.contracts.scoring import Masks
from edgeflow.errors import AccuracyError
from edgeflow_export.foreground.choice import Candidate, ForegroundData, choose_foreground, fixed_from

PARTS = 10


def evidence(min_iou: float = 0.9) -> ForegroundData:
    """Ten parts of one view; the right half is background, where the last four are anomalous."""
    rng = np.random.default_rng(1)
    maps = rng.uniform(0, 1, (PARTS, 1, 4, 4)).astype(np.float32)
    maps[..., 2:] = 0
    maps[6:] *= 0.1  # their foreground is normal
    maps[6:, :, :, 3] = 50
    truth = np.zeros(maps.shape, np.uint8)
    truth[..., :2] = 1
    return ForegroundData(
        maps=maps,
        truth=truth,
        scoring=Scoring(),
        normal=6,
        rate=0.1,
        min_iou=min_iou,
        max_flip_rate=0.1,
    )


def candidates(given: ForegroundData, asked: list[str]) -> Iterator[Candidate]:
    nearly = given.truth.copy()
    nearly[:, :, 0, 2] = 1
    for kind, masks in (("none", np.ones_like(given.truth)), ("fixed", nearly), ("distilled", given.truth)):

        def named(kind: str = kind, masks: Masks = masks) -> Masks:
            asked.append(kind)
            return masks

        yield Candidate(kind=kind, masks=named)  # type: ignore[arg-type]


@pytest.mark.parametrize(("min_iou", "kind"), [(0.8, "fixed"), (0.95, "distilled")])
def test_first_candidate_within_budget_is_chosen_and_dearer_ones_are_not_computed(
    min_iou: float, kind: str
) -> None:
    asked: list[str] = []
    given = evidence(min_iou)
    chosen = choose_foreground(candidates(given, asked), given)
    assert chosen.kind == kind == asked[-1]
    assert chosen.note.startswith(f"auto chose {kind}: IoU")
    assert "over budget: none: IoU 0.500, 4 of 10 verdicts changed" in chosen.note


def test_no_candidate_within_budget_is_an_error_with_all_figures() -> None:
    given = evidence(0.999)
    some = list(candidates(given, []))[:2]
    with pytest.raises(AccuracyError) as caught:
        choose_foreground(iter(some), given)
    assert [problem.partition(":")[0] for problem in caught.value.problems] == ["none", "fixed"]


def test_fixed_mask_is_what_at_least_half_of_the_parts_have() -> None:
    masks = np.zeros((4, 1, 1, 3), np.uint8)
    masks[:1, ..., 0] = masks[:2, ..., 1] = masks[:, ..., 2] = 1
    assert fixed_from(masks).tolist() == [[[0, 1, 1]]]
