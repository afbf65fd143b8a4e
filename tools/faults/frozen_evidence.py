"""Fault 18: the disk under the evidence does not answer, for the box's first minutes or for good.

The first call that writes there blocks, as on a file server that is gone; what stands in its way is a pipe
that nobody reads. Cameras run in processes of their own, whose images come through shared memory.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from pathlib import Path

import av
import numpy as np

from faults.figures import Figure
from faults.rig import site, wait_for
from faults.whole_box import WholeBox, whole_box
from simulators.small_box import write_box
from simulators.small_bundle import VIEWS

__all__ = ["evidence_frozen"]

_FAULT = "18 evidence disk frozen"
_TRIGGER_S = 0.25
_SETTLED = 4  # parts; cameras that just began may lack one
_QUEUE_MB = 1.0


def evidence_frozen(folder: Path, *, parts: int) -> list[Figure]:
    """Every part is to be kept; more of them are decided than wait in memory, or in shared memory."""
    with site(folder, controller=False) as place:
        clip = _clip(folder / "clip.mkv")
        file = write_box(
            folder,
            place.port,
            trigger={"source": "mqtt", "timeout_ms": 1000, "period_ms": None},
            sync={"max_skew_ms": 150, "window_ms": 600},
            views={"at_start": "off", "watch": False, "unusable": "off"},
            cameras={view: {"kind": "file", "path": str(clip), "loop": True} for view in VIEWS},
            evidence={"save": ["OK", "NG", "UNDECIDED"], "queue_mb": _QUEUE_MB},
        )
        pipe = folder / "evidence" / ".edgeflow-run-time.json.tmp"
        pipe.parent.mkdir()
        os.mkfifo(pipe)
        with whole_box(place, file, {}) as box:
            asked = _ask(box, parts)
            frozen = {**box.alarms}
            reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
            thawed_s = time.monotonic()
            wait_for(lambda: "evidence_stopped" not in box.standing, 30)
            again_s = time.monotonic() - thawed_s
            os.close(reader)
        kept = len(list((folder / "evidence").glob("*/*/result.json")))
        return _figures(box, asked, frozen, again_s, kept)


def _ask(box: WholeBox, parts: int) -> list[str]:
    """Triggers one after the other; returns the names of those that count."""
    names = [f"part-{number}" for number in range(parts + _SETTLED)]
    for name in names:
        box.trigger(name)
        time.sleep(_TRIGGER_S)
    wait_for(lambda: len(box.decisions) >= len(names), 20)
    return names[_SETTLED:]


def _figures(
    box: WholeBox, asked: list[str], frozen: dict[str, str], again_s: float, kept: int
) -> list[Figure]:
    verdicts = {decision["part_id"]: decision["verdict"] for _, decision in box.decisions}
    counts = Counter(verdicts.get(name, "none") for name in asked)
    reasons = Counter(d["reason"] for _, d in box.decisions if d["verdict"] == "UNDECIDED")
    for reason, count in reasons.items():
        print(f"UNDECIDED {count}x: {reason}", file=sys.stderr)
    text = frozen.get("evidence_stopped", "")
    others = sorted(name for name in frozen if name.split(".")[0] in ("camera_stale", "outbox"))

    def figure(what: str, value: float, limit: float | None = None, *, at_least: bool = False) -> Figure:
        return Figure(fault=_FAULT, what=what, value=value, limit=limit, at_least=at_least)

    return [
        figure("parts while it was frozen", len(asked)),
        figure("without a decision", counts["none"], 0),
        figure("UNDECIDED", counts["UNDECIDED"], len(asked) // 5),  # a busy machine makes some views late
        figure("the alarm does not name the disk", "does not answer" not in text, 0),
        figure("alarms that blame something else", len(others), 0),
        figure("parts kept when it answered again", kept, 1, at_least=True),
        Figure(fault=_FAULT, what="alarm over after, s", value=round(again_s, 1), limit=10, timed=True),
    ]


def _clip(path: Path) -> Path:
    """A clip of noise, so that no two pictures are alike."""
    chance = np.random.default_rng(1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=20)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuvj420p"
        for _ in range(40):
            image = chance.integers(0, 255, (120, 160, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path
