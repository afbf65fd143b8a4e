"""Parts are counted beside the line: what came, how long its stages took, what it scored."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from edgeflow.contracts.messages import Deadline, Result
from edgeflow.metrics.exposition import _parts
from edgeflow.metrics.part_metrics import QUEUE_SIZE, PartMetrics
from simulators.results import simulated_result

AT = datetime(2026, 11, 29, tzinfo=UTC)
TIMES_MS = {"acquire": 12.0, "wait": 1.0, "score": 40.0, "decide": 0.1, "publish": 0.4, "total": 53.1}


def result(number: int, score: float | None, *, met: bool = True) -> Result:
    made = simulated_result(number, AT, {} if score is None else {"top": score, "left": score / 2})
    deadline = Deadline(deadline_ms=50, decided_after_ms=53.1, met=met)
    return made.model_copy(update={"durations_ms": TIMES_MS, "deadline": deadline})


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metrics(clock: Clock) -> PartMetrics:
    return PartMetrics(clock)


def test_verdicts_reasons_and_missed_deadlines_are_counted(metrics: PartMetrics) -> None:
    for number, score in enumerate((0.2, 0.3, 5.0, None)):
        metrics.offer(result(number, score, met=score is not None))
    metrics.take_in()
    figures = metrics.figures()
    assert figures.verdicts == {"OK": 2, "NG": 1, "UNDECIDED": 1}
    assert figures.reasons == {"defect": 1, "missing_views": 1}
    assert figures.deadlines_missed == 1


def test_every_verdict_is_there_before_the_first_part(metrics: PartMetrics) -> None:
    assert metrics.figures().verdicts == {"OK": 0, "NG": 0, "UNDECIDED": 0}


def test_stages_are_counted_in_seconds_and_a_part_that_was_not_scored_has_no_scoring_time(
    metrics: PartMetrics,
) -> None:
    metrics.offer(result(1, 0.2))
    metrics.offer(result(2, None))
    metrics.take_in()
    stages = metrics.figures().stages
    assert stages["acquire"].count == 2
    assert stages["acquire"].total == pytest.approx(0.024)
    assert stages["score"].count == 1
    assert stages["score"].total == pytest.approx(0.040)


def test_a_result_is_followed_to_the_disk_and_to_its_confirmation(metrics: PartMetrics, clock: Clock) -> None:
    metrics.offer(result(1, 0.2))
    clock.now_ns = 20_000_000
    metrics.stored(["session-000001"])
    clock.now_ns = 2_000_000_000
    metrics.confirmed(["session-000001", "of-an-earlier-session"])
    metrics.confirmed(["session-000001"])  # a consumer may repeat itself
    metrics.take_in()
    stages = metrics.figures().stages
    assert (stages["store"].count, stages["store"].total) == (1, pytest.approx(0.02))
    assert (stages["deliver"].count, stages["deliver"].total) == (1, pytest.approx(2.0))


def test_scores_of_each_view_have_quantiles_of_the_latest_and_sums_of_all(metrics: PartMetrics) -> None:
    for number in range(1000):
        metrics.offer(result(number, 0.1 if number < 500 else 0.9))
    metrics.take_in()
    scores = metrics.figures().views["top"]
    assert scores.count == 1000
    assert scores.total == pytest.approx(500.0)
    assert scores.latest.p50 == pytest.approx(0.9)
    assert scores.latest.count == 500


def test_a_period_ends_where_the_next_begins(metrics: PartMetrics) -> None:
    metrics.offer(result(1, 0.2))
    metrics.take_in()
    first = metrics.end_period()
    assert first.stages_ms["score"].highest == 40.0
    assert first.views["left"].p50 == pytest.approx(0.1)
    assert metrics.end_period().stages_ms == {}
    assert metrics.figures().stages["score"].count == 1, "counts since the start go on"


def test_results_beyond_the_queue_are_left_out_and_counted_and_nobody_waits(metrics: PartMetrics) -> None:
    one = result(1, 0.2)
    for _ in range(QUEUE_SIZE + 7):
        metrics.offer(one)
    assert metrics.figures().uncounted == 7
    metrics.take_in()
    assert metrics.figures().verdicts["OK"] == QUEUE_SIZE


def test_readers_and_the_line_do_not_disturb_each_other(metrics: PartMetrics) -> None:
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            metrics.take_in()
            metrics.figures()

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(2000):
        metrics.offer(result(number, 0.2))
    ended.set()
    for reader in readers:
        reader.join()
    metrics.take_in()
    figures = metrics.figures()
    assert figures.verdicts["OK"] + figures.uncounted == 2000


def test_parts_and_scores_of_a_box_with_products_are_counted_by_product(metrics: PartMetrics) -> None:
    for number, product in enumerate(("A", "B", "A", None)):
        metrics.offer(result(number, 0.5 if product != "B" else 5.0).model_copy(update={"product": product}))
    metrics.take_in()
    figures = metrics.figures()
    assert figures.products == {
        "A": {"OK": 2, "NG": 0, "UNDECIDED": 0},
        "B": {"OK": 0, "NG": 1, "UNDECIDED": 0},
    }
    assert set(figures.views) == {"A.top", "A.left", "B.top", "B.left", "top", "left"}


def test_prometheus_reads_products_as_labels_and_nothing_of_them_on_other_boxes(metrics: PartMetrics) -> None:
    metrics.offer(result(0, 0.5))
    metrics.take_in()
    assert not [family.name for family in _parts(metrics.figures()) if "product" in family.name]
    metrics.offer(result(1, 0.5).model_copy(update={"product": "Größe 7"}))
    metrics.take_in()
    (family,) = [family for family in _parts(metrics.figures()) if family.name == "edgeflow_product_parts"]
    found = {tuple(sample.labels.values()): sample.value for sample in family.samples}
    assert found[("Größe 7", "OK")] == 1
