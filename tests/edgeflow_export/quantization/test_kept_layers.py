"""The search for the fewest groups in float."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from edgeflow_export.quantization.kept_layers import bisect_kept_layers

COUNTS = st.integers(0, 40)


@given(most=COUNTS, enough=st.integers(1, 41))
def test_least_count_within_budget_is_found_with_few_tries(most: int, enough: int) -> None:
    tried: list[int] = []

    def attempt(count: int) -> bool:
        tried.append(count)
        return count >= enough

    found = bisect_kept_layers(most, attempt)
    assert found == (enough if enough <= most else None)
    assert all(1 <= count <= most for count in tried)
    assert len(tried) <= math.ceil(math.log2(most + 1))
