"""Scores and synchronisation to a verdict: nothing but a good, whole, punctual part is OK."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

from edgeflow.cameras.camera import Frame
from edgeflow.capture.view_set import ViewSet
from edgeflow.config.capture import SyncConfig
from edgeflow.config.scoring import DecisionConfig
from edgeflow.contracts.manifest import Scale, Thresholds
from edgeflow.decision.decision import (
    Policy,
    Verdict,
    answer_by_ns,
    check_degraded,
    decide,
    judge_scores,
    no_time_left,
)
from edgeflow.errors import ConfigError
from edgeflow.scoring.scorer import Scores

Mapped = Literal["undecided", "ng"]
VIEWS = ("top", "left")
TRIGGERED_NS = 5_000_000_000
DEADLINE_MS = 100.0
IN_TIME_NS = TRIGGERED_NS + 100_000_000
LATE_NS = IN_TIME_NS + 12_300_000
THRESHOLDS = Thresholds(
    part=Scale(centre=1.0, threshold=3.0),
    views={"top": Scale(centre=0.0, threshold=4.0), "left": Scale(centre=2.0, threshold=6.0)},
    false_reject_rate=0.01,
    normal_parts=50,
)
IMAGE = np.zeros((2, 2, 3), np.uint8)


def policy(on_missing: Mapped = "undecided", on_late: Mapped = "undecided") -> Policy:
    return Policy(
        thresholds=THRESHOLDS,
        sync=SyncConfig(max_skew_ms=5.0, on_missing=on_missing),
        decision=DecisionConfig(deadline_ms=DEADLINE_MS, on_late=on_late),
    )


def view_set(*, missing: tuple[str, ...] = (), fault: str = "") -> ViewSet:
    present = [view for view in VIEWS if view not in missing]
    frames = {v: Frame(view=v, image=IMAGE, captured_ns=TRIGGERED_NS, frame_id=1) for v in present}
    return ViewSet(
        trigger_id="t", part_id="p", triggered_ns=TRIGGERED_NS, frames=frames, missing=missing,
        skew_ms=0.0, fault=fault,
    )  # fmt: skip


def scores(part: float, top: float = 1.0, left: float = 3.0, highest: float | None = None) -> Scores:
    return Scores(
        inputs=np.zeros((2, 2, 2, 3), np.uint8),
        maps=np.zeros((2, 2, 2), np.float32),
        raw_maps=np.zeros((2, 2, 2), np.float32),
        masks=None,
        views={"top": top, "left": left},
        part=part,
        empty=() if highest is None else ("left",),
        highest=part if highest is None else highest,
    )


GOOD, BAD = scores(2.0), scores(7.0, top=5.0, left=7.0)


SUBSET = THRESHOLDS.model_copy(update={"subsets": {"top": Scale(centre=1.0, threshold=2.0)}})
DEGRADED = Policy(
    thresholds=SUBSET,
    sync=SyncConfig(max_skew_ms=5.0, on_missing="degraded", min_views=1),
    decision=DecisionConfig(deadline_ms=DEADLINE_MS),
)


def top_alone(part: float) -> Scores:
    return replace(scores(part, highest=part), views={"top": part}, empty=())


def test_a_part_with_a_missing_view_is_judged_by_the_threshold_of_the_others() -> None:
    missing = view_set(missing=("left",))
    good = decide(missing, top_alone(1.9), "", DEGRADED, IN_TIME_NS)
    assert (good.verdict, good.reason, good.score) == (
        "OK", "degraded, missing views: left", pytest.approx(0.9)
    )  # fmt: skip
    assert list(good.views) == ["top"]
    bad = decide(missing, top_alone(2.1), "", DEGRADED, IN_TIME_NS)
    assert (bad.verdict, bad.score) == ("NG", pytest.approx(1.1))
    assert bad.reason.endswith("degraded, missing views: left")


def test_degraded_is_undecided_for_what_was_not_calibrated_or_is_too_little() -> None:
    other = view_set(missing=("top",))
    assert DEGRADED.scale(other) is None
    assert decide(other, None, "", DEGRADED, IN_TIME_NS).reason == "missing views: top"
    assert judge_scores(replace(scores(1.0), views={"left": 1.0}), SUBSET)[0] == "UNDECIDED"
    neither = view_set(missing=VIEWS)
    assert decide(neither, None, "", DEGRADED, IN_TIME_NS).verdict == "UNDECIDED"
    assert DEGRADED.scale(view_set(missing=("left",), fault="skew")) is None
    assert decide(view_set(missing=("left",)), GOOD, "", policy(), IN_TIME_NS).verdict == "UNDECIDED"


def test_a_box_that_decides_degraded_needs_a_bundle_calibrated_for_it() -> None:
    check_degraded(DEGRADED.sync, SUBSET)
    check_degraded(policy().sync, THRESHOLDS)
    with pytest.raises(ConfigError, match=r"at least 2 of its 2 views.*thresholds\.missing_views: 1"):
        check_degraded(DEGRADED.sync, THRESHOLDS)


def test_a_whole_part_under_the_threshold_and_in_time_is_ok() -> None:
    verdict = decide(view_set(), GOOD, "", policy(), IN_TIME_NS)
    assert verdict == Verdict(
        verdict="OK",
        reason="",
        code="ok",
        score=0.5,
        views={"top": 0.25, "left": 0.25},
        decided_ns=IN_TIME_NS,
        late=False,
    )


def test_a_score_on_the_threshold_is_ok_and_one_just_over_it_is_ng() -> None:
    assert decide(view_set(), scores(3.0), "", policy(), IN_TIME_NS).verdict == "OK"
    assert decide(view_set(), scores(math.nextafter(3.0, 4.0)), "", policy(), IN_TIME_NS).verdict == "NG"


def test_a_part_over_the_threshold_is_ng_and_names_its_worst_view_on_the_scaled_score() -> None:
    verdict = decide(view_set(), BAD, "", policy(), IN_TIME_NS)
    assert verdict.verdict == "NG"
    assert verdict.score == 3.0
    assert verdict.views == {"top": 1.25, "left": 1.25}
    # The left view's raw score is higher here, yet by its own threshold the top view is worse.
    verdict = decide(view_set(), scores(7.0, top=6.0, left=6.5), "", policy(), IN_TIME_NS)
    assert verdict.reason == "score 3.00 is over the threshold; highest in view 'top'"


def test_a_missing_view_is_named_and_maps_to_what_the_policy_says() -> None:
    part = view_set(missing=("left",))
    assert decide(part, None, "", policy(), IN_TIME_NS).verdict == "UNDECIDED"
    verdict = decide(part, None, "", policy(on_missing="ng"), IN_TIME_NS)
    assert (verdict.verdict, verdict.reason) == ("NG", "missing views: left")
    assert (verdict.score, verdict.views) == (None, {})


def test_a_fault_is_the_reason_whatever_the_scores_say() -> None:
    for given in (None, GOOD, BAD):
        verdict = decide(view_set(fault="skew of 9.0 ms"), given, "", policy(on_missing="ng"), IN_TIME_NS)
        assert (verdict.verdict, verdict.reason) == ("UNDECIDED", "skew of 9.0 ms")


def test_a_part_that_was_not_scored_says_why() -> None:
    verdict = decide(view_set(), None, "scoring failed: device lost", policy(), IN_TIME_NS)
    assert (verdict.verdict, verdict.reason) == ("UNDECIDED", "scoring failed: device lost")
    assert decide(view_set(), None, "", policy(), IN_TIME_NS).reason == "not scored"


def test_a_failure_outweighs_scores_that_came_nevertheless() -> None:
    assert decide(view_set(), GOOD, "half of it failed", policy(), IN_TIME_NS).verdict == "UNDECIDED"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_is_never_a_verdict(value: float) -> None:
    verdict = decide(view_set(), scores(2.0, left=value), "", policy(), IN_TIME_NS)
    assert (verdict.verdict, verdict.reason) == ("UNDECIDED", "score is not finite in: left")
    assert (verdict.score, verdict.views) == (None, {})
    verdict = decide(view_set(), scores(value), "", policy(), IN_TIME_NS)
    assert (verdict.verdict, verdict.reason) == ("UNDECIDED", "score is not finite in: the part score")


def test_a_late_part_maps_to_what_the_policy_says() -> None:
    verdict = decide(view_set(), GOOD, "", policy(), LATE_NS)
    assert (verdict.verdict, verdict.late) == ("UNDECIDED", True)
    assert verdict.reason == "late: decided 12.3 ms after the deadline of 100 ms"
    assert verdict.score == 0.5
    assert decide(view_set(), GOOD, "", policy(on_late="ng"), LATE_NS).verdict == "NG"


def test_one_nanosecond_after_the_deadline_is_late() -> None:
    assert not decide(view_set(), GOOD, "", policy(), IN_TIME_NS).late
    assert decide(view_set(), GOOD, "", policy(), IN_TIME_NS + 1).verdict == "UNDECIDED"


def test_a_part_with_less_time_than_scoring_takes_is_given_up_at_once() -> None:
    ms = 1_000_000
    at_ns = TRIGGERED_NS + 80 * ms
    assert no_time_left(view_set(), policy(), 20 * ms, at_ns) == ""
    assert no_time_left(view_set(), policy(), None, LATE_NS) == ""
    why = no_time_left(view_set(), policy(), 20 * ms + 1, at_ns)
    assert why == "late: 20.0 of 100 ms were left, scoring may take 20.0 ms; not scored"
    verdict = decide(view_set(), None, "", policy(), at_ns, skipped=why)
    assert (verdict.verdict, verdict.reason, verdict.late) == ("UNDECIDED", why, False)
    assert decide(view_set(), None, "", policy(on_late="ng"), at_ns, skipped=why).verdict == "NG"


def test_a_late_ng_stays_ng_with_its_own_reason() -> None:
    verdict = decide(view_set(), BAD, "", policy(), LATE_NS)
    assert (verdict.verdict, verdict.late) == ("NG", True)
    assert verdict.reason.startswith("score 3.00 is over the threshold")


def test_a_late_part_with_a_missing_view_says_both() -> None:
    verdict = decide(view_set(missing=("left",)), None, "", policy(), LATE_NS)
    assert verdict.reason == "missing views: left; late: decided 12.3 ms after the deadline of 100 ms"


@pytest.mark.parametrize("after_ms", [0, 60, 90, 100, 101, 5000])
def test_a_missing_view_stays_ng_however_little_time_is_left(after_ms: int) -> None:
    now_ns = TRIGGERED_NS + after_ms * 1_000_000
    part, rules = view_set(missing=("left",)), policy(on_missing="ng")
    skipped = no_time_left(part, rules, 50_000_000, now_ns)
    assert skipped == "", "what is not to be scored needs no time for it"
    verdict = decide(part, None, "", rules, now_ns, skipped=skipped)
    assert verdict.verdict == "NG"
    assert verdict.reason.startswith("missing views: left")


def test_of_several_causes_one_that_the_policy_maps_to_ng_is_enough() -> None:
    why = "late: not scored"
    for lost, late, on_missing, on_late in itertools.product(
        ((), ("left",)), (False, True), ("undecided", "ng"), ("undecided", "ng")
    ):
        if not lost and not late:
            continue
        rules = policy(on_missing, on_late)
        verdict = decide(view_set(missing=lost), None, "", rules, IN_TIME_NS, skipped=why if late else "")
        ng = (bool(lost) and on_missing == "ng") or (late and on_late == "ng")
        assert verdict.verdict == ("NG" if ng else "UNDECIDED"), (lost, late, on_missing, on_late)
        assert not lost or "missing views: left" in verdict.reason


def test_answers_are_awaited_until_a_little_before_the_deadline() -> None:
    def margin_ms(deadline_ms: float) -> float:
        rules = replace(policy(), decision=DecisionConfig(deadline_ms=deadline_ms))
        return deadline_ms - (answer_by_ns(view_set(), rules) - TRIGGERED_NS) / 1e6

    assert margin_ms(100) == pytest.approx(2)
    assert margin_ms(250) == pytest.approx(5)
    assert margin_ms(10_000) == pytest.approx(5)


def test_only_a_good_whole_punctual_part_is_ever_ok() -> None:
    """Every combination of what can go wrong, under every policy."""
    given = [None, GOOD, BAD, scores(math.nan), scores(2.0, top=math.inf), scores(-math.inf)]
    missing: list[tuple[str, ...]] = [(), ("top",), VIEWS]
    mapped: tuple[Mapped, Mapped] = ("undecided", "ng")
    ok = []
    for found, lost, fault, failure, now_ns, on_missing, on_late in itertools.product(
        given, missing, ("", "overrun"), ("", "failed"), (IN_TIME_NS, LATE_NS), mapped, mapped
    ):
        part = view_set(missing=lost, fault=fault)
        verdict = decide(part, found, failure, policy(on_missing, on_late), now_ns)
        assert verdict.verdict == "OK" or verdict.reason
        assert verdict.score is None or math.isfinite(verdict.score)
        if verdict.verdict == "OK":
            ok.append((found, lost, fault, failure, now_ns))
    assert ok == [(GOOD, (), "", "", IN_TIME_NS)] * 4


def test_scores_alone_are_judged_by_the_same_rule() -> None:
    assert judge_scores(GOOD, THRESHOLDS) == ("OK", "")
    assert judge_scores(BAD, THRESHOLDS)[0] == "NG"
    assert judge_scores(scores(math.nan), THRESHOLDS)[0] == "UNDECIDED"


def test_views_without_foreground_never_acquit_a_part() -> None:
    verdict = decide(view_set(), scores(2.0, highest=3.5), "", policy(), IN_TIME_NS)
    assert (verdict.verdict, verdict.reason) == ("UNDECIDED", "no foreground found in: left")
    assert decide(view_set(), scores(2.0, highest=3.0), "", policy(), IN_TIME_NS).verdict == "OK"
    assert decide(view_set(), scores(4.0, highest=5.0), "", policy(), IN_TIME_NS).verdict == "NG"


def test_pixel_of_minus_infinity_is_never_ok() -> None:
    broken = scores(2.0)
    broken.raw_maps[1, 0, 0] = -math.inf
    verdict = decide(view_set(), broken, "", policy(), IN_TIME_NS)
    assert (verdict.verdict, verdict.reason) == ("UNDECIDED", "score is not finite in: left")


NAN, EMPTY = scores(math.nan), scores(2.0, highest=9.0)
FAULT = replace(view_set(fault="skew of 9 ms"), fault_code="skew")
LEFT_OUT = view_set(missing=("left",))
TOP = replace(scores(1.5), views={"top": 1.5}, raw_maps=np.zeros((1, 2, 2), np.float32))


@pytest.mark.parametrize(
    ("code", "part", "scored", "texts", "rules", "now_ns"),
    [
        ("ok", view_set(), GOOD, {}, policy(), IN_TIME_NS),
        ("degraded", LEFT_OUT, TOP, {}, DEGRADED, IN_TIME_NS),
        ("defect", view_set(), BAD, {}, policy(), IN_TIME_NS),
        ("defect", LEFT_OUT, replace(TOP, part=2.5, highest=2.5), {}, DEGRADED, IN_TIME_NS),
        ("defect", view_set(), BAD, {}, policy(), LATE_NS),
        ("missing_views", LEFT_OUT, None, {}, policy(), IN_TIME_NS),
        ("missing_views", LEFT_OUT, None, {}, policy("ng"), LATE_NS),
        ("missing_views", replace(FAULT, missing=("left",)), None, {}, policy(), IN_TIME_NS),
        ("skew", FAULT, GOOD, {}, policy(), IN_TIME_NS),
        ("skew", FAULT, GOOD, {}, policy(), LATE_NS),
        ("fault", view_set(fault="no code was given"), GOOD, {}, policy(), IN_TIME_NS),
        ("scoring_failed", view_set(), None, {"failure": "the graph fails"}, policy(), IN_TIME_NS),
        ("not_scored", view_set(), None, {}, policy(), IN_TIME_NS),
        ("score_not_finite", view_set(), NAN, {}, policy(), IN_TIME_NS),
        ("no_threshold", view_set(), TOP, {}, policy(), IN_TIME_NS),
        ("no_foreground", view_set(), EMPTY, {}, policy(), IN_TIME_NS),
        ("late", view_set(), GOOD, {}, policy(), LATE_NS),
        ("late", LEFT_OUT, TOP, {}, DEGRADED, LATE_NS),
        ("late", view_set(), None, {"skipped": "late: no time left"}, policy(), IN_TIME_NS),
        ("late", view_set(), None, {"skipped": "late: no time left"}, policy(on_late="ng"), LATE_NS),
    ],
)
def test_every_verdict_has_a_code_for_its_first_cause(
    code: str, part: ViewSet, scored: Scores | None, texts: dict[str, str], rules: Policy, now_ns: int
) -> None:
    failure = texts.get("failure", "")
    verdict = decide(part, scored, failure, rules, now_ns, skipped=texts.get("skipped", ""))
    assert verdict.code == code
    assert verdict.verdict in ("OK", "NG", "UNDECIDED")
    assert (verdict.verdict == "OK") == (code in ("ok", "degraded"))
    assert (verdict.reason == "") == (code == "ok")
