"""One run of a box: its own id, and part numbers without gaps."""

from __future__ import annotations

from edgeflow.decision.session import new_session


def test_each_session_has_its_own_id_and_counts_from_one() -> None:
    one, other = new_session(), new_session()
    assert one.id != other.id
    assert len(one.id) == 12
    assert [next(one.part_numbers) for _ in range(3)] == [1, 2, 3]
    assert next(other.part_numbers) == 1
