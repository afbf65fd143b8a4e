"""The books of the fault suite: a loss that no kill explains must show."""

from __future__ import annotations

from dataclasses import replace

from faults.accounting import Books

KILLED_AFTER_4 = Books(
    triggers=[f"s0001-t{n:06d}" for n in range(1, 6)],
    decided=[(f"s0001-t{n:06d}", f"s0001-{n:06d}") for n in range(1, 5)],
    stored=["s0001-000001", "s0001-000002", "s0001-000003"],
    received=["s0001-000001", "s0001-000002", "s0001-000003"],
    told={"s0001": 4},
    killed=["s0001"],
    in_hand=2,
)


def account(books: Books) -> dict[str, float]:
    return {figure.what: figure.value for figure in books.figures("conservation", 5)}


def broken(books: Books) -> set[str]:
    return {figure.what for figure in books.figures("conservation", 5) if not figure.good}


def test_what_a_kill_cut_short_is_counted_and_the_account_closes() -> None:
    found = account(KILLED_AFTER_4)
    assert found["misses: in hand when the box was killed"] == 1
    assert found["misses: decided, killed before the disk had the result"] == 1
    assert found["of these, missing numbers that a subscriber sees"] == 1
    assert broken(KILLED_AFTER_4) == set()


def test_a_box_killed_before_it_wrote_down_what_it_stored_has_lost_nothing() -> None:
    assert broken(replace(KILLED_AFTER_4, stored=KILLED_AFTER_4.stored[:-1])) == set()


def test_a_stored_result_that_does_not_arrive_is_a_loss() -> None:
    lost = replace(KILLED_AFTER_4, received=KILLED_AFTER_4.received[:-1])
    assert broken(lost) == {"stored and not delivered", "triggers - results delivered - misses"}


def test_a_hole_among_the_stored_results_is_not_a_kill() -> None:
    left = ["s0001-000001", "s0001-000003"]
    hole = replace(KILLED_AFTER_4, stored=left, received=left)
    assert broken(hole) == {"misses that no kill explains"}


def test_a_session_that_ended_by_itself_has_no_excuse() -> None:
    assert broken(replace(KILLED_AFTER_4, killed=[])) == {"misses that no kill explains"}


def test_a_result_kept_twice_shows() -> None:
    twice = replace(KILLED_AFTER_4, received=[*KILLED_AFTER_4.received, "s0001-000001"])
    assert broken(twice) == {"delivered twice after deduplication"}
