"""Comparison of results of recorded parts with results of an earlier inspection."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgeflow.contracts.datasets.find_parts import RecordedPart
from edgeflow.contracts.messages import Result, from_json
from edgeflow.errors import DataError, ParityError

__all__ = ["Comparison", "Difference", "read_results"]

_MOST_BYTES = 1024 * 1024 * 1024
_MOST_TOLD = 20


class Difference:
    """One part decided twice.

    Raw scores may differ by the graph's tolerance: another processor rounds otherwise. Verdicts may differ
    only where a score lies that near to its threshold.

    Args:
        tolerance: relative, of the graph; 0 where every bit counts.
    """

    def __init__(self, before: Result, now: Result, tolerance: float) -> None:
        self._before, self._now, self._tolerance = before, now, tolerance
        self._own = {view.id: view for view in now.views}
        self.largest = 0.0
        self.identical = True
        self.problems: list[str] = []
        self._compare_scores()
        self._compare_verdicts()

    def _compare_scores(self) -> None:
        pairs = [
            (f"score_raw of view {view.id}", view.score_raw, own.score_raw)
            for view in self._before.views
            if (own := self._own.get(view.id)) is not None and own.masked == view.masked
        ]
        # Where other masks were asked for, the part's scores are bounds, of which only the verdict is sure.
        if len(pairs) == len(self._before.views):
            pairs.insert(0, ("score_raw", self._before.score_raw, self._now.score_raw))
        for what, was, new in pairs:
            if was == new:
                continue
            self.identical = False
            if was is None or new is None:
                self._say(what, was, new)
                continue
            allowed = self._allowed()
            apart = abs(was - new)
            self.largest = max(self.largest, apart / allowed * self._tolerance if allowed else 0.0)
            if not apart <= allowed:
                self._say(what, was, new)

    def _compare_verdicts(self) -> None:
        was, new = self._before.verdict, self._now.verdict
        if was == new:
            return
        self.identical = False
        if {was, new} == {"OK", "NG"} and (self._is_near(self._before) or self._is_near(self._now)):
            return
        self._say("verdict", was, new)

    def _is_near(self, result: Result) -> bool:
        """True if the part score is so near to its threshold that rounding decides."""
        threshold = result.threshold if result.threshold is not None else self._now.threshold
        if threshold is None or result.score_raw is None:
            return False
        return abs(result.score_raw - threshold) <= self._allowed()

    def _allowed(self) -> float:
        scores = [view.score_raw for result in (self._before, self._now) for view in result.views]
        scores += [self._before.score_raw, self._now.score_raw, self._now.threshold]
        return self._tolerance * max((abs(s) for s in scores if s is not None), default=0.0)

    def _say(self, what: str, was: object, new: object) -> None:
        self.problems.append(f"part {self._now.part_id}: {what} was {was}, is {new}")


class Comparison:
    """Comparison of the decisions of a replay with earlier ones; empty without a file.

    Args:
        expect: results as JSON lines.
        exact: every bit counts, not only what is outside the graph's tolerance.
    """

    def __init__(self, expect: Path | None, *, exact: bool = False) -> None:
        self._file, self._exact = expect, exact
        self._before = read_results(expect) if expect is not None else {}
        self._differences: list[str] = []
        self._compared = self._identical = 0
        self._largest = self._tolerance = 0.0

    def require_counterparts(self, parts: Sequence[RecordedPart]) -> None:
        """Raise DataError where no part is among the results."""
        if self._file is not None and not any(part.part_id in self._before for part in parts):
            names = ", ".join(list(self._before)[:3])
            raise DataError(
                f"{self._file}: no result of these parts (it has {names} …); part ids have to agree"
            )

    def add(self, result: Result, tolerance: float) -> None:
        """Compare a part that was decided again.

        Args:
            tolerance: relative, of the graph that scored it.
        """
        was = self._before.get(result.part_id)
        if was is None:
            return
        self._tolerance = 0.0 if self._exact else tolerance
        found = Difference(was, result, self._tolerance)
        self._compared += 1
        self._identical += found.identical
        self._largest = max(self._largest, found.largest)
        self._differences += found.problems

    def summary(self) -> str:
        """One line for people; empty where nothing was compared."""
        if self._file is None:
            return ""
        text = f"compared with {self._file}: {self._compared} parts, {self._identical} the same bit by bit"
        if math.isclose(self._largest, 0.0) or self._exact:
            return text
        return f"{text}; largest relative difference {self._largest:.1e}, allowed {self._tolerance:g}"

    def require_same(self) -> None:
        """Raise ParityError where something differs by more than allowed."""
        if self._differences:
            raise ParityError(
                f"{len(self._differences)} difference(s) from {self._file} in {self._compared} parts; were "
                "they inspected with this bundle, graph and device?",
                problems=self._differences[:_MOST_TOLD],
            )


def read_results(path: Path) -> Mapping[str, Result]:
    """Results by part id, the last of each; lines that are no results are passed over.

    Raises:
        DataError: the file cannot be read, a line is not JSON, or no line is a result.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{path}: larger than 1 GB; give the results of these parts only")
        lines = path.read_text("utf-8-sig").splitlines()
        records = [json.loads(line) for line in lines if line.strip()]
    except OSError as cause:
        raise DataError(f"{path}: cannot be read: {cause.strerror}") from cause
    except (ValueError, RecursionError) as cause:
        raise DataError(f"{path}: not JSON lines: {cause}; 'edgeflow outbox export' writes them") from cause
    found = {}
    for record in records:
        if isinstance(record, dict) and record.get("schema") == "edgeflow/result/1":
            result = from_json(Result, json.dumps(record).encode())
            found[result.part_id] = result
    if not found:
        raise DataError(
            f"{path}: no result in it; 'edgeflow run --json' and 'edgeflow outbox export' write them"
        )
    return found
