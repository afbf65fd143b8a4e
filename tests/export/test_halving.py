"""The search for the fewest groups in float."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from edgeflow_export.halving import Outcome, least_within

COUNTS = st.integers(1, 40)


@given(total=COUNTS, enough=COUNTS, slow=COUNTS)
def test_least_count_within_budget_is_found_with_few_tries(total: int, enough: int, slow: int) -> None:
    tried: list[int] = []

    def attempt(count: int) -> Outcome:
        tried.append(count)
        if count >= slow:
            return Outcome.SLOW
        return Outcome.WITHIN if count >= enough else Outcome.OVER

    found = least_within(total, attempt)
    assert found == (enough if enough < min(slow, total) else None)
    assert all(0 < count < total for count in tried)
    assert len(tried) <= math.ceil(math.log2(total)) if total > 1 else not tried
