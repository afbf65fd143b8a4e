"""So many at once, then one in a while."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgeflow.rate_limit import RateLimit


def test_three_at_once_then_one_every_ten() -> None:
    limit = RateLimit(at_once=3, every_ns=10)
    assert [limit.allows(100) for _ in range(5)] == [True, True, True, False, False]
    assert [limit.allows(now) for now in (109, 110, 111, 119, 120)] == [False, True, False, False, True]


def test_what_was_not_used_is_there_again_but_never_more_than_at_once() -> None:
    limit = RateLimit(at_once=2, every_ns=10)
    assert [limit.allows(0) for _ in range(3)] == [True, True, False]
    assert [limit.allows(10_000) for _ in range(3)] == [True, True, False]


@given(st.lists(st.integers(0, 300), max_size=80), st.integers(1, 6), st.integers(1, 50))
def test_in_any_stretch_of_time_no_more_is_allowed_than_promised(
    gaps: list[int], at_once: int, every_ns: int
) -> None:
    limit, now, allowed = RateLimit(at_once=at_once, every_ns=every_ns), 0, []
    for gap in gaps:
        now += gap // 10
        if limit.allows(now):
            allowed.append(now)
    for first, start in enumerate(allowed):
        for last, end in enumerate(allowed[first:], first):
            assert last - first + 1 <= at_once + 1 + (end - start) // every_ns
