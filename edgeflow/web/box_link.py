"""Link to the running box: follows its live stream on a thread, keeps the latest of everything."""

from __future__ import annotations

import logging
import threading
from base64 import b64decode
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from edgeflow.commands.watch import watch
from edgeflow.errors import EdgeflowError

__all__ = ["BoxLink", "LiveState", "Pictures"]

logger = logging.getLogger(__name__)

_LAST = 50
_NAMES = ("image", "heat")
_AGAIN_S = 1.0
_PICTURES_OF = 8  # parts; a browser may still ask for those of a part that has just been replaced


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Small pictures of one part.

    Attributes:
        views: view → name (``image``, ``heat``) → JPEG.
        figures: view → name → value, then the golden images' least and most where there are some.
    """

    result_id: str
    part_id: str
    verdict: str
    views: Mapping[str, Mapping[str, bytes]]
    figures: Mapping[str, Mapping[str, list[float]]]


@dataclass(frozen=True, kw_only=True)
class LiveState:
    """The box as it is now.

    Attributes:
        number: rises with every change.
        problem: why there is no connection to the box; empty while there is one.
        status: of the box, as ``edgeflow ctl BOX status --json`` gives it; empty before the first one.
        results: the latest, newest first, as plain data.
        pictures: of the latest part that has some.
    """

    number: int = 0
    problem: str = "connecting"
    status: Mapping[str, Any] = field(default_factory=dict)
    results: tuple[Mapping[str, Any], ...] = ()
    pictures: Pictures | None = None


class BoxLink:
    """Follows the box behind a socket, and connects again whenever it is back."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._pictures: deque[Pictures] = deque(maxlen=_PICTURES_OF)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="box", daemon=True)
        self.now = LiveState()

    def __enter__(self) -> BoxLink:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()  # the thread may wait for the box; it ends with the process

    def picture(self, result_id: str, view: str, name: str) -> bytes | None:
        """Return one small picture of one of the latest parts; None where it is not kept any more."""
        for pictures in list(self._pictures):
            if pictures.result_id == result_id:
                return pictures.views.get(view, {}).get(name)
        return None

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                for item in watch(self._socket):
                    self._take(item)
                    if self._stop.is_set():
                        return
                self._change(problem="the box has ended")
            except EdgeflowError as cause:
                self._change(problem=cause.message)
            except Exception as cause:  # a line of a newer box must not end the page
                logger.exception("a line of the box was not understood")
                self._change(problem=f"a line of the box was not understood: {cause}")
            self._stop.wait(_AGAIN_S)

    def _take(self, item: Mapping[str, Any]) -> None:
        kind = item.get("kind")
        if kind == "hello":
            self._change(problem="", results=tuple(reversed(item["results"])))
        elif kind == "result":
            self._change(results=(item["result"], *self.now.results[: _LAST - 1]))
        elif kind == "status":
            self._change(problem="", status=item["status"])
        elif kind == "preview":
            self._take_pictures(item)

    def _take_pictures(self, item: Mapping[str, Any]) -> None:
        pictures = Pictures(
            result_id=item["result_id"],
            part_id=item["part_id"],
            verdict=item["verdict"],
            views={
                view: {name: b64decode(found[name]) for name in _NAMES if name in found}
                for view, found in item["views"].items()
            },
            figures={view: found["figures"] for view, found in item["views"].items() if "figures" in found},
        )
        self._pictures.append(pictures)
        self._change(pictures=pictures)

    def _change(self, **changes: Any) -> None:
        if any(getattr(self.now, name) != value for name, value in changes.items()):
            self.now = replace(self.now, number=self.now.number + 1, **changes)
