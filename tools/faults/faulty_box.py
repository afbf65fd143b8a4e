"""A whole box whose scoring hangs or fails after some parts; run by a fault and by tests.

faulty_box.py BOX FAULT AFTER: score AFTER parts as they are, then do FAULT.
"""

from __future__ import annotations

import ctypes
import logging
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from edgeflow.backends.runner import ActualPlacement
from edgeflow.cli.run import make_view
from edgeflow.cli.terminal.output_thread import BackgroundView
from edgeflow.contracts.images import RgbImage
from edgeflow.contracts.messages import Result
from edgeflow.errors import DeviceError, EdgeflowError
from edgeflow.scoring.scorer import MaskDemand, Scorer, Scores
from edgeflow.station.active_bundle import LoadedBundle, load_verified
from edgeflow.station.line import RunView
from edgeflow.station.process.shutdown import end_process
from edgeflow.station.station import run_box

HOUR_S = 3600
PAUSE_S = 4.0

_RAISED: dict[str, BaseException] = {
    "RuntimeError": RuntimeError("boom"),
    "MemoryError": MemoryError(),
    "KeyError": KeyError("maps"),
    "SystemExit": SystemExit(7),
    "DeviceError": DeviceError("device lost"),
}


def _hang_in_native_code(library: ctypes.CDLL) -> None:
    while True:
        library.sleep(HOUR_S)


def _fail(name: str) -> None:
    raise _RAISED[name]


FAULTS: dict[str, Callable[[], None]] = {
    "hang": lambda: _hang_in_native_code(ctypes.CDLL(None)),
    "hang-with-interpreter": lambda: _hang_in_native_code(ctypes.PyDLL(None)),  # no other thread runs, too
    "pause": lambda: time.sleep(PAUSE_S),
    **{name: partial(_fail, name) for name in _RAISED},
}


class FaultyScorer(Scorer):
    """A real scorer until its fault comes; ``pause`` comes once, the others with every part from then on."""

    def __init__(self, real: Scorer, fault: str, after: int) -> None:
        self._real, self.thresholds = real, real.thresholds
        self._fault = fault
        self._left = after

    def score(self, images: Mapping[str, RgbImage], *, ask: MaskDemand = "needed") -> Scores:
        self._left -= 1
        if self._left == -1 or (self._left < 0 and self._fault != "pause"):
            FAULTS[self._fault]()
        return self._real.score(images, ask=ask)

    @property
    def placement(self) -> ActualPlacement:
        return self._real.placement

    def close(self) -> None:
        self._real.close()


class MortalView:
    """A view whose thread dies of the result after some parts."""

    def __init__(self, view: RunView, after: int) -> None:
        self._view = view
        self._left = after
        self.ready, self.finished = view.ready, view.finished

    def show(self, result: Result) -> None:
        self._left -= 1
        if self._left < 0:
            raise KeyError(result.result_id)
        self._view.show(result)


def main() -> None:
    """Run the box as the command does."""
    path, fault, after = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    view: Any = make_view(quiet=False, json_output=True)

    def load(*arguments: Any, **named: Any) -> LoadedBundle:
        loaded = load_verified(*arguments, **named)
        return (
            replace(loaded, scorer=FaultyScorer(loaded.scorer, fault, after)) if fault in FAULTS else loaded
        )

    try:
        with BackgroundView(view if fault in FAULTS else MortalView(view, after)) as unhurried:
            run_box(path, overrides=(), once=False, view=unhurried, load=load)
    except EdgeflowError as error:
        print(f"error: {error}", file=sys.stderr)
        end_process(error.exit_code)
    end_process(0)


if __name__ == "__main__":
    main()
