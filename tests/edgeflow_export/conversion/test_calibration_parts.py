"""Calibration parts come from the whole set."""

from __future__ import annotations

from itertools import pairwise

import pytest

from edgeflow_export.conversion.calibration_parts import spread


@pytest.mark.parametrize(("total", "count"), [(240, 32), (33, 32), (7, 3), (5, 1)])
def test_parts_are_evenly_spread(total: int, count: int) -> None:
    found = spread(range(total), count)
    assert len(found) == len(set(found)) == count
    gaps = {after - before for before, after in pairwise(found)}
    assert max(gaps, default=1) - min(gaps, default=1) <= 1
    assert found[-1] >= total - total // count - 1


def test_all_parts_where_there_are_no_more() -> None:
    assert spread("abc", 8) == tuple("abc")
