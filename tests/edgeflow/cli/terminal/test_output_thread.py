"""Output that nobody reads is left out, said so, and never waited for."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from pathlib import Path

import pytest

from edgeflow.cli.terminal.output_thread import BackgroundView
from edgeflow.contracts.messages import Result, VerdictName, from_json

SAMPLE = Path(__file__).resolve().parents[3] / "samples" / "result.json"


class Slow:
    """Prints nothing before it may; then into a list."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.said: list[object] = []

    def ready(self, text: str) -> None:
        self.may.wait()
        self.said.append(text)

    def show(self, result: Result) -> None:
        self.may.wait()
        self.said.append(result.seq)

    def finished(self, counts: Counter[VerdictName], waiting: int) -> None:
        self.said.append((counts.total(), waiting))


def results(count: int) -> list[Result]:
    sample = from_json(Result, SAMPLE.read_bytes())
    return [sample.model_copy(update={"seq": number}) for number in range(count)]


def test_everything_is_printed_in_order_before_the_end() -> None:
    slow = Slow()
    with BackgroundView(slow) as view:
        view.ready("now")
        for result in results(20):
            view.show(result)
        view.finished(Counter({"OK": 20}), 3)
        assert slow.said == []
        slow.may.set()
    assert slow.said == ["now", *range(20), (20, 3)]


def test_what_waits_for_too_long_is_left_out_and_said(caplog: pytest.LogCaptureFixture) -> None:
    slow = Slow()
    with BackgroundView(slow) as view, caplog.at_level(logging.WARNING):
        for result in results(3000):
            view.show(result)
        slow.may.set()
    assert 1000 <= len(slow.said) <= 1001
    assert slow.said == sorted(slow.said)
    told = [record.message for record in caplog.records]
    assert len(told) == 2
    assert "the line goes on" in told[0]
    assert f"{3000 - len(slow.said)} results were left out there" in told[1]
