"""Counts of values by size, as Prometheus wants them, and quantiles."""

from __future__ import annotations

import pytest

from edgeflow.metrics.histogram import Histogram, quantiles


def test_buckets_count_up_and_a_bound_belongs_to_its_bucket() -> None:
    histogram = Histogram((0.1, 0.5, 1.0))
    for value in (0.05, 0.1, 0.3, 0.99, 7.0):
        histogram.add(value)
    figures = histogram.figures()
    assert figures.buckets == ((0.1, 2), (0.5, 3), (1.0, 4))
    assert figures.count == 5
    assert figures.total == pytest.approx(8.44)


def test_quantiles_are_those_of_the_values() -> None:
    found = quantiles(float(value) for value in range(101))
    assert found is not None
    assert (found.p50, found.p90, found.p99, found.highest, found.count) == (50, 90, 99, 100, 101)


def test_no_values_have_no_quantiles() -> None:
    assert quantiles([]) is None
