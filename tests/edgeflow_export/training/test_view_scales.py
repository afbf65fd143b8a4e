"""Scales of view scores: every view gets the mean and the deviation that all share."""

from __future__ import annotations

import numpy as np
import pytest

from edgeflow.contracts.scoring import Scoring, part_score
from edgeflow_export.training.view_scales import view_scales


def test_every_view_gets_the_shared_mean_and_deviation() -> None:
    rng = np.random.default_rng(0)
    views = np.asarray(rng.normal((1.0, 2.0, 6.0), (0.5, 1.0, 0.8), (400, 3)), np.float32)
    scales = view_scales(views)
    scaled = np.stack([views[:, v] * scale.gain + scale.offset for v, scale in enumerate(scales)], 1)
    np.testing.assert_allclose(scaled.mean(0), views.mean(), rtol=1e-5)
    np.testing.assert_allclose(scaled.std(0), views.std(0).mean(), rtol=1e-5)


def test_view_that_hardly_varies_is_not_stretched_without_end() -> None:
    views = np.asarray([[0.0, 5.0], [2.0, 5.001], [4.0, 5.0]], np.float32)
    steady = view_scales(views)[1]
    assert steady.gain == pytest.approx(2.0)
    assert Scoring(view_scales=view_scales(views)).sensitivity == pytest.approx(2.0)


def test_views_that_do_not_vary_stay_as_they_are() -> None:
    views = np.full((3, 2), 1.5, np.float32)
    scoring = Scoring(part="max", view_scales=view_scales(views))
    np.testing.assert_array_equal(part_score(views, scoring), [1.5, 1.5, 1.5])
