"""Replay of recorded parts through the box's own line; nothing is published, no part is late."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from edgeflow.cameras.camera import Frame
from edgeflow.capture.view_set import ViewSet
from edgeflow.clock import monotonic_ns
from edgeflow.config.box import load_config
from edgeflow.config.products.resolve import product_named
from edgeflow.contracts.datasets.find_parts import RecordedPart
from edgeflow.contracts.datasets.recording import FILE_NAME, RecordedSet, read_recording
from edgeflow.contracts.images import Reading, read_image
from edgeflow.contracts.messages import Decision, Result
from edgeflow.contracts.preprocess import reading_of
from edgeflow.decision.recorded_parts import find_bundle_parts
from edgeflow.decision.session import new_session
from edgeflow.errors import DataError
from edgeflow.station.active_bundle import ActiveBundle, load_verified, open_for_box
from edgeflow.station.line import InspectionLine, RunView
from edgeflow.station.replay_comparison import Comparison
from edgeflow.station.scoring_thread import ScoringThread

__all__ = ["replay_box"]

_NO_DEADLINE_MS = 3_600_000.0
_END_S = 5.0


class _NoGate:
    """Drops decisions: a replay must never move a gate."""

    def publish_decision(self, decision: Decision) -> bool:  # noqa: ARG002 - the line's interface
        return False


class _NoOutbox:
    """Results of a replay are shown and compared, never delivered."""

    def put(self, result: Result) -> None:
        """Drop one result."""


def replay_box(
    path: Path,
    folder: Path,
    *,
    expect: Path | None,
    exact: bool,
    overrides: tuple[str, ...],
    view: RunView,
    product: str | None = None,
) -> str:
    """Inspect recorded parts as a box would: its bundle, graph, device and rules; nothing leaves.

    Time is not replayed: no part is late, and the frames' skew is the recorded one.

    Args:
        expect: results of these parts, as JSON lines, that must come out again.
        exact: bit by bit; otherwise within the graph's tolerance.
        product: that the parts are of, on a box with several.

    Returns:
        What the comparison found, in one line; empty without ``expect``.

    Raises:
        ConfigError, IntegrityError, DeviceError: see :func:`~edgeflow.station.station.run_box`.
        DataError: no parts, or nothing to compare them with.
        ParityError: a part is decided otherwise than it was, or the golden parts are not reproduced.
    """
    config = product_named(load_config(path, overrides), product)
    decision = config.decision.model_copy(update={"deadline_ms": _NO_DEADLINE_MS})
    config = config.model_copy(update={"decision": decision})
    comparison = Comparison(expect, exact=exact)

    bundle, order = open_for_box(config, config.bundle)

    with bundle:
        parts = find_bundle_parts(bundle, folder, incomplete=True)
        comparison.require_counterparts(parts)
        reading = reading_of(bundle.manifest.preprocessing)
        scoring = ScoringThread()
        loaded = load_verified(config, bundle, order, session=new_session())

        def show(result: Result) -> None:
            view.show(result)
            comparison.add(result, loaded.graph.tolerance)

        slot = ActiveBundle(loaded, release=scoring.release)
        try:
            line = InspectionLine(
                bundles=slot,
                gate=_NoGate(),
                outbox=_NoOutbox(),
                show=show,
                clock=monotonic_ns,
                scoring=scoring,
            )
            device = config.runtime.device
            view.ready(f"{len(parts)} recorded parts, {loaded.graph.id} on {device}; nothing is published")
            counts = line.run(_view_sets(parts, bundle.manifest.view_ids, _timing(folder), reading))
        finally:
            slot.close()
            scoring.close(_END_S)
    view.finished(counts, 0)
    comparison.require_same()
    return comparison.summary()


def _timing(folder: Path) -> Mapping[str, RecordedSet]:
    return read_recording(folder) if (folder / FILE_NAME).exists() else {}


def _view_sets(
    parts: Sequence[RecordedPart],
    views: Sequence[str],
    timing: Mapping[str, RecordedSet],
    reading: Reading,
) -> Iterator[ViewSet]:
    for number, part in enumerate(parts, 1):
        now_ns = monotonic_ns()
        recorded = timing.get(part.part_id)
        frames = _frames(part, views, number - 1, now_ns, recorded, reading)
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
    part: RecordedPart,
    views: Sequence[str],
    frame_id: int,
    now_ns: int,
    recorded: RecordedSet | None,
    reading: Reading,
) -> dict[str, Frame]:
    """The views that can be read, as far apart as they were recorded."""
    at_ms = {view: frame.at_ms for view, frame in recorded.frames.items()} if recorded else {}
    first_ms = min(at_ms.values(), default=0.0)
    frames = {}
    for view in (view for view in views if view in part.images):
        try:
            image = read_image(part.images[view], reading)
        except DataError:
            continue  # as a frame that a camera lost
        captured_ns = now_ns + round((at_ms.get(view, first_ms) - first_ms) * 1e6)
        frames[view] = Frame(
            view=view, image=image, captured_ns=captured_ns, frame_id=frame_id, part_id=part.part_id
        )
    return frames
