"""Running time never goes back, never jumps with a wall clock, and goes on over restarts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeflow.run_time import Boot, RunTime, parse_run_time, read_boot, run_time_text

SECONDS = st.floats(min_value=0, max_value=1e9, allow_nan=False)


def test_within_a_boot_it_is_the_time_that_passed() -> None:
    began = RunTime(boot=Boot(id="a", up_s=100.0), run_s=7.0)
    assert began.at(Boot(id="a", up_s=160.0)).run_s == 67.0


def test_after_another_boot_only_the_time_since_that_boot_is_added() -> None:
    before = RunTime(boot=Boot(id="a", up_s=100.0), run_s=7.0)
    assert before.at(Boot(id="b", up_s=20.0)) == RunTime(boot=Boot(id="b", up_s=20.0), run_s=27.0)
    assert before.at(Boot(id="b", up_s=500.0)).run_s == 507.0


@given(st.lists(st.tuples(st.sampled_from("ab"), SECONDS), min_size=1))
def test_it_never_goes_back(moments: list[tuple[str, float]]) -> None:
    now = RunTime(boot=Boot(id="a", up_s=0.0))
    for boot_id, up_s in moments:
        later = now.at(Boot(id=boot_id, up_s=up_s))
        assert later.run_s >= now.run_s
        now = later


@given(SECONDS, SECONDS, SECONDS)
def test_what_is_kept_on_the_disk_goes_on(run_s: float, up_s: float, more_s: float) -> None:
    kept = run_time_text(RunTime(boot=Boot(id="a", up_s=up_s), run_s=run_s))
    assert parse_run_time(kept, Boot(id="a", up_s=up_s + more_s)).run_s == pytest.approx(
        run_s + more_s, abs=1e-5
    )


@pytest.mark.parametrize(
    "text",
    [None, "", "{}", "[]", "7", "null", '{"boot_id": "a"}', '{"boot_id": "a", "up_s": "x", "run_s": 1}',
     '{"boot_id": "a", "up_s": null, "run_s": 1}', "\x00", "[" * 100,
     '{"boot_id": "a", "up_s": 1, "run_s": Infinity}', '{"boot_id": "b", "up_s": NaN, "run_s": 1}'],
)  # fmt: skip
def test_what_cannot_be_read_begins_with_zero(text: str | None) -> None:
    now = Boot(id="b", up_s=50.0)
    assert parse_run_time(text, now) == RunTime(boot=now, run_s=0.0)


def test_the_computer_tells_the_same_boot_and_a_later_time() -> None:
    first, second = read_boot(), read_boot()
    assert first.id == second.id
    assert first.id
    assert 0 < first.up_s <= second.up_s


def test_where_starts_cannot_be_told_apart_time_is_never_counted_twice(tmp_path: Path) -> None:
    first, second = read_boot(tmp_path / "hidden"), read_boot(tmp_path / "hidden")
    assert first.id == second.id == ""
    before = RunTime(boot=Boot(id="", up_s=5000.0), run_s=7000.0)
    assert before.at(Boot(id="", up_s=5010.0)).run_s == 7010.0
    rebooted = before.at(Boot(id="", up_s=30.0))
    assert rebooted.run_s == 7000.0
    assert rebooted.at(Boot(id="", up_s=90.0)).run_s == 7060.0
