"""Recorded parts through the box's own line, one after the other: no part too many, none too late."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from edgeflow.cameras.base import Frame
from edgeflow.clock import monotonic_ns
from edgeflow.config import load_config
from edgeflow.contracts.images import read_image
from edgeflow.contracts.messages import Decision, Result, from_json
from edgeflow.contracts.parts import RecordedPart
from edgeflow.contracts.recording import FILE_NAME, RecordedSet, read_recording
from edgeflow.errors import DataError, ParityError
from edgeflow.loaded_bundle import BundleSlot, open_for_box, prove
from edgeflow.offline import find_bundle_parts
from edgeflow.pipeline import Line
from edgeflow.run_view import RunView
from edgeflow.scorer import Scores
from edgeflow.scoring_thread import ScoringThread
from edgeflow.synchronizer import ViewSet

__all__ = ["difference", "read_results", "replay_box"]

_NO_DEADLINE_MS = 3_600_000.0
_MOST_BYTES = 1024 * 1024 * 1024
_MOST_TOLD = 20
_END_S = 5.0


class _NoGate:
    """Nobody is told: a replay must never move a gate."""

    def publish_decision(self, decision: Decision) -> bool:  # noqa: ARG002 - the line's interface
        return False


def replay_box(
    path: Path, folder: Path, *, expect: Path | None, overrides: tuple[str, ...], view: RunView
) -> None:
    """Inspect recorded parts as a box would: its bundle, graph, device and rules; nothing leaves.

    Time is not replayed: no part is late, and the frames' skew is the recorded one.

    Args:
        expect: results of these parts, as JSON lines; verdicts and raw scores must be the same, bit by bit.

    Raises:
        ConfigError, IntegrityError, DeviceError: see :func:`~edgeflow.station.run_box`.
        DataError: no parts, or nothing to compare them with.
        ParityError: a part is decided otherwise than it was, or the golden parts are not reproduced.
    """
    config = load_config(path, overrides)
    decision = config.decision.model_copy(update={"deadline_ms": _NO_DEADLINE_MS})
    config = config.model_copy(update={"decision": decision})
    comparison = _Comparison(expect)

    def show(result: Result) -> None:
        view.show(result)
        comparison.add(result)

    bundle, graph = open_for_box(config, config.bundle)
    with bundle:
        parts = find_bundle_parts(bundle, folder)
        comparison.require_counterparts(parts)
        numbers = itertools.count(1)
        scoring = ScoringThread()
        loaded = prove(config, bundle, graph, session=uuid.uuid4().hex[:12], numbers=numbers)
        slot = BundleSlot(loaded, release=scoring.release)
        try:
            line = Line(
                bundles=slot, gate=_NoGate(), keep=_unkept, show=show, clock=monotonic_ns, scoring=scoring
            )
            view.ready(f"{len(parts)} recorded parts, {graph.id} on {config.runtime.device}; nobody is told")
            counts = line.run(_view_sets(parts, bundle.manifest.view_ids, _timing(folder)))
        finally:
            slot.close()
            scoring.close(_END_S)
    view.finished(counts, 0)
    comparison.require_same()


class _Comparison:
    """What is decided now beside what was decided then; without a file, of nothing."""

    def __init__(self, expect: Path | None) -> None:
        self._file = expect
        self._before = read_results(expect) if expect is not None else {}
        self._differences: list[str] = []
        self._compared = 0

    def require_counterparts(self, parts: Sequence[RecordedPart]) -> None:
        """Raise DataError where no part is among the results."""
        if self._file is not None and not any(part.part_id in self._before for part in parts):
            names = ", ".join(list(self._before)[:3])
            raise DataError(
                f"{self._file}: no result of these parts (it has {names} …); part ids have to agree"
            )

    def add(self, result: Result) -> None:
        """A part was decided again."""
        if (was := self._before.get(result.part_id)) is not None:
            self._compared += 1
            self._differences += difference(was, result)

    def require_same(self) -> None:
        """Raise ParityError where something differs."""
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
        lines = path.read_text("utf-8").splitlines()
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


def difference(before: Result, now: Result) -> list[str]:
    """What is not the same: verdict, raw score of the part, raw score of any view; empty if nothing."""
    pairs: list[tuple[str, object, object]] = [
        ("verdict", before.verdict, now.verdict),
        ("score_raw", before.score_raw, now.score_raw),
    ]
    raw = {each.id: each.score_raw for each in now.views}
    pairs += [(f"score_raw of view {each.id}", each.score_raw, raw.get(each.id)) for each in before.views]
    return [f"part {now.part_id}: {what} was {was}, is {new}" for what, was, new in pairs if was != new]


def _unkept(result: Result, view_set: ViewSet, scores: Scores | None) -> Result:  # noqa: ARG001 - as a keeper
    return result


def _timing(folder: Path) -> Mapping[str, RecordedSet]:
    return read_recording(folder) if (folder / FILE_NAME).exists() else {}


def _view_sets(
    parts: Sequence[RecordedPart], views: Sequence[str], timing: Mapping[str, RecordedSet]
) -> Iterator[ViewSet]:
    for number, part in enumerate(parts, 1):
        now_ns = monotonic_ns()
        recorded = timing.get(part.part_id)
        frames = _frames(part, views, number - 1, now_ns, recorded)
        yield ViewSet(
            trigger_id=f"replay-{number:06d}",
            part_id=part.part_id,
            triggered_ns=now_ns,
            frames=frames,
            missing=tuple(view for view in views if view not in frames),
            skew_ms=recorded.skew_ms if recorded else 0.0,
            fault=recorded.fault if recorded else "",
        )


def _frames(
    part: RecordedPart, views: Sequence[str], frame_id: int, now_ns: int, recorded: RecordedSet | None
) -> dict[str, Frame]:
    """The views that can be read, as far apart as they were recorded."""
    at_ms = {view: frame.at_ms for view, frame in recorded.frames.items()} if recorded else {}
    first_ms = min(at_ms.values(), default=0.0)
    frames = {}
    for view in views:
        try:
            image = read_image(part.images[view])
        except DataError:
            continue  # as a frame that a camera lost
        captured_ns = now_ns + round((at_ms.get(view, first_ms) - first_ms) * 1e6)
        frames[view] = Frame(
            view=view, image=image, captured_ns=captured_ns, frame_id=frame_id, part_id=part.part_id
        )
    return frames
