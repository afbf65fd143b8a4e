"""The box's side of a candidate: takes finished parts, hands them on one at a time, follows its process.

Whatever the candidate does costs its own comparisons, and never a part of the line.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Literal

from edgeflow.alarms import Alarms
from edgeflow.config.box import BoxConfig
from edgeflow.config.products.resolve import product_config
from edgeflow.config.updates.shadow import ShadowConfig
from edgeflow.contracts.images import RgbImage
from edgeflow.contracts.messages import Result
from edgeflow.errors import failure_text
from edgeflow.right_of_way import RightOfWay
from edgeflow.shadow.child import ChildEndedError, ShadowChild
from edgeflow.shadow.comparison import Judged

__all__ = ["FinishedPart", "ShadowFigures", "ShadowRunner", "ShadowState"]

logger = logging.getLogger(__name__)

ShadowState = Literal["waiting", "loading", "comparing", "refused", "stopped"]
START_LIMIT_S = 600.0
_MOST_FAILURES = 3  # one after the other
_GOOD_AGAIN = 50  # parts one after the other, and earlier failures are forgotten
_PATIENCE_S = 0.2
_LOOK_S = 2.0
_TURN_S = 0.5
_END_S = 5.0


@dataclass(frozen=True, kw_only=True)
class FinishedPart:
    """A part that the line has decided.

    Attributes:
        images: view → uint8 (H, W, 3), of the cameras; not copied.
        complete: all views came, nothing was wrong with them, and they were scored.
        tolerance: of the graph that scored it.
    """

    result: Result
    images: Mapping[str, RgbImage]
    complete: bool
    bundle_name: str
    bundle_sha256: str
    tolerance: float


@dataclass(frozen=True, kw_only=True)
class ShadowFigures:
    """Counts since the box started.

    Attributes:
        outcomes: parts that both judged, by outcome of the comparison.
        skipped: parts that were not compared, by reason: busy, incomplete, not_loaded, failed.
        ended: candidate processes that crashed, hung or grew too large.
    """

    state: ShadowState
    outcomes: Mapping[str, int]
    skipped: Mapping[str, int]
    ended: int


class ShadowRunner:
    """Compares one candidate with the running bundle; the line offers parts and never waits.

    Args:
        idle: the candidate gets only what nobody else wants of the processor.
    """

    def __init__(
        self,
        config: BoxConfig,
        shadow: ShadowConfig,
        alarms: Alarms,
        right_of_way: RightOfWay,
        *,
        idle: bool = True,
    ) -> None:
        self._shadow, self._alarms, self._idle = shadow, alarms, idle
        self._config = product_config(config, shadow.product) if shadow.product else config
        self._right_of_way = right_of_way
        self._parts: queue.Queue[FinishedPart] = queue.Queue(1)
        self._wanted = threading.Event()  # the thread waits for a part
        self._child: ShadowChild | None = None
        self._running: tuple[str, str] | None = None  # name and sha256 of the bundle that inspects
        self._loaded: tuple[object, tuple[str, str]] | None = None
        self._outcomes: Counter[str] = Counter()
        self._skipped: Counter[str] = Counter()  # counted on the line's thread
        self._reported: Counter[str] = Counter()
        self._failed = self._failed_in_a_row = self._failures = self._good = self._ended = 0
        self._again = False
        self._state: ShadowState = "waiting"
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
        right_of_way.pause_for_parts(self)

    def __enter__(self) -> ShadowRunner:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def pause(self) -> None:
        """Let the candidate stand still; on the line's thread."""
        if (child := self._child) is not None:
            child.pause()

    def resume(self) -> None:
        """Let it go on."""
        if (child := self._child) is not None:
            child.resume()

    def offer(self, part: FinishedPart) -> None:
        """Take a finished part where the candidate is free; never waits. For the line's thread."""
        if self._shadow.product not in (None, part.result.product):
            return
        self._running = (part.bundle_name, part.bundle_sha256)
        if not part.complete:
            self._skipped["incomplete"] += 1
        elif self._state != "comparing":
            self._skipped["not_loaded"] += 1
        elif not self._wanted.is_set():
            self._skipped["busy"] += 1
        else:
            self._wanted.clear()
            with suppress(queue.Full):  # left by a process that has ended
                self._parts.put_nowait(part)

    def figures(self) -> ShadowFigures:
        """Return the counts since the start."""
        return ShadowFigures(
            state=self._state,
            outcomes=dict(self._outcomes),
            skipped={**self._skipped, **({"failed": self._failed} if self._failed else {})},
            ended=self._ended,
        )

    def close(self) -> None:
        """End the candidate's process, and this thread."""
        self._end.set()
        self._thread.join(_END_S)

    def _run(self) -> None:
        try:
            while not self._end.is_set():
                try:
                    self._turn()
                except ChildEndedError as ended:
                    self._child_ended(str(ended))
                except Exception as error:  # no surprise here may end the box
                    logger.exception("shadow: the candidate is ended after an error")
                    self._child_ended(failure_text(error))
        finally:
            self._end_child()

    def _turn(self) -> None:
        """Load a candidate that is new, start one that failed again, or compare one part."""
        if self._is_new():
            self._failures = 0
            self._take_up()
        elif self._child is not None:
            self._compare(self._child)
        else:
            self._end.wait(_LOOK_S)
            if self._again and not self._end.is_set():
                self._take_up()

    def _is_new(self) -> bool:
        """Return True if another file is the candidate, or another bundle inspects."""
        return self._running is not None and self._loaded != (self._file(), self._running)

    def _file(self) -> object:
        """Identity of the candidate's file; None where there is none."""
        try:
            found = self._shadow.bundle.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

    def _take_up(self) -> None:
        """Start the process, and wait until it has verified the candidate."""
        self._end_child()
        file, running = self._file(), self._running
        if running is None:
            return
        self._loaded, self._again, self._good = (file, running), False, 0
        if file is None and self._config.fleet is not None:  # its agent brings one when there is one
            self._state = "waiting"
            self._alarms.clear("shadow_refused")
            return
        if file is None:
            self._refused({"message": f"{self._shadow.bundle}: no such bundle; it is awaited there"})
            return
        self._state = "loading"
        self._child = child = ShadowChild(
            self._job(running), lambda: self._right_of_way.give_way(_PATIENCE_S)
        )
        answer = child.answer(START_LIMIT_S, turn=lambda: not self._end.is_set() and not self._is_new())
        if "ready" not in answer:
            self._refused(answer)
            return
        ready = answer["ready"]
        logger.info("shadow: %s version %s is compared from now on", ready["name"], ready["version"])
        self._alarms.clear("shadow_refused")
        self._alarms.clear("shadow_stopped")
        self._state = "comparing"

    def _job(self, running: tuple[str, str]) -> dict[str, Any]:
        name, sha256 = running
        shadow = self._shadow
        return {
            "config": self._config.model_dump(mode="json", by_alias=True),
            "device": shadow.device,
            "running_name": name,
            "running_sha256": sha256,
            "store": str(self._config.shadow_path),
            "max_parts": shadow.max_parts,
            "max_pictures": shadow.max_pictures,
            "memory_mb": shadow.memory_mb,
            "idle": self._idle,
        }

    def _compare(self, child: ShadowChild) -> None:
        self._wanted.set()
        try:
            part = self._parts.get(timeout=_TURN_S)
        except queue.Empty:
            return
        answer = child.ask(
            self._line(part), part.images, self._shadow.part_limit_s, turn=lambda: not self._end.is_set()
        )
        if "failed" in answer:
            self._failed += 1
            self._failed_in_a_row += 1
            logger.warning("shadow: part %s was not scored: %s", part.result.part_id, answer["failed"])
            if self._failed_in_a_row >= _MOST_FAILURES:
                raise ChildEndedError(f"{_MOST_FAILURES} parts one after the other: {answer['failed']}")
            return
        self._outcomes[answer["done"]] += 1
        self._failed_in_a_row, self._good = 0, self._good + 1
        if self._good >= _GOOD_AGAIN:
            self._failures = 0
        if "unstored" in answer:
            self._alarms.raise_("shadow_stopped", "warning", f"comparisons are lost: {answer['unstored']}")
        else:
            self._alarms.clear("shadow_stopped")

    def _line(self, part: FinishedPart) -> dict[str, Any]:
        result = part.result
        now = Counter(self._skipped)
        skipped, self._reported = now - self._reported, now
        judged = Judged(
            verdict=result.verdict,
            score_raw=_finite(result.score_raw),
            threshold=result.threshold,
            tolerance=part.tolerance,
        )
        return {
            "result_id": result.result_id,
            "part_id": result.part_id,
            "decided_at": result.decided_at,
            "running": asdict(judged),
            "running_score": _finite(result.score),
            "evidence": result.evidence,
            "skipped": dict(skipped),
        }

    def _refused(self, answer: Mapping[str, Any]) -> None:
        """The candidate is not one for this box; another file is awaited."""
        self._end_child()
        self._state = "refused"
        text = "; ".join([answer.get("message", "it gave no reason"), *answer.get("problems", ())])
        text = f"the candidate is not compared: {text}"
        logger.warning("shadow: %s", text)
        self._alarms.raise_("shadow_refused", "warning", text)

    def _child_ended(self, why: str) -> None:
        """Let it start again, a few times; then it is given up until another file comes."""
        self._end_child()
        if self._end.is_set() or self._is_new():
            return
        self._ended += 1
        self._failures += 1
        self._failed_in_a_row = 0
        logger.warning("shadow: the candidate's process: %s", why)
        self._again = self._failures < _MOST_FAILURES
        if self._again:
            return
        self._state = "stopped"
        self._alarms.raise_(
            "shadow_stopped",
            "warning",
            f"the candidate is given up after {self._failures} failures, the last: {why}; parts are "
            "inspected as before. Try it elsewhere with 'edgeflow verify', or leave out the section 'shadow'",
        )

    def _end_child(self) -> None:
        child, self._child = self._child, None
        self._wanted.clear()
        if self._state in ("loading", "comparing"):
            self._state = "waiting"
        if child is not None:
            child.end()


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
