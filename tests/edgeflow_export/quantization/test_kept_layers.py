"""The search for the fewest groups in float."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from edgeflow_export.conversion.int8 import Group
from edgeflow_export.quantization.kept_layers import GIVE_BACK, bisect_kept_layers, give_back

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


GROUPS = tuple(
    Group(name=str(place), members=(place,), macs=macs) for place, macs in enumerate((5, 90, 20, 70))
)


@given(needed=st.sets(st.sampled_from(GROUPS[:-1])))
def test_groups_that_the_budgets_do_not_need_in_float_are_taken_back(needed: set[Group]) -> None:
    tried: list[Sequence[Group]] = []

    def attempt(kept: Sequence[Group]) -> bool:
        tried.append(kept)
        return needed <= set(kept)

    stays = give_back(GROUPS, attempt)
    assert set(stays) == needed | {GROUPS[-1]}
    assert GROUPS[1] not in tried[0]  # what multiplies most is tried first
    assert len(tried) <= GIVE_BACK


def test_a_single_group_is_needed_and_nothing_is_tried() -> None:
    def never(_: Sequence[Group]) -> bool:
        raise AssertionError

    assert give_back(GROUPS[:1], never) == GROUPS[:1]
    assert give_back((), never) == ()
