"""Capture on this machine: five real GigE Vision cameras in loopback, and five MJPEG clips."""

from __future__ import annotations

import json
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice, pairwise
from pathlib import Path

import click
import cv2
import numpy as np
from rich.console import Console

from edgeflow.cameras.camera import Camera
from edgeflow.cameras.drivers import make_camera, make_driver
from edgeflow.cameras.process import ProcessCamera
from edgeflow.capture.capture import Capture
from edgeflow.capture.view_set import ViewSet
from edgeflow.clock import monotonic_ns
from edgeflow.config.box import BoxConfig, CameraConfig
from edgeflow.contracts.documents.document import parse_document
from edgeflow.errors import ConfigError
from simulators.gige_cameras import FakeCamera, fake_cameras

VIEWS = ("C1", "C2", "C3", "C4", "C5")
PERIOD_MS = 100.0  # the cameras take 25 images a second, at ticks of their own
TIMEOUT_MS = 150.0

Make = Callable[[str, CameraConfig], Camera]
Figures = dict[str, float]


@click.command()
@click.option("--triggers", type=click.IntRange(min=10), default=1000, show_default=True)
@click.option("--sets", type=click.IntRange(min=1100), default=10_000, show_default=True, help="For memory.")
@click.option("--json", "json_output", is_flag=True)
def main(triggers: int, sets: int, json_output: bool) -> None:
    """Measure pairing, fan-out, faults, decoding and memory; needs root for the cameras' network."""
    console = Console(stderr=json_output, highlight=False)
    console.print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    figures: dict[str, Figures] = {}
    parts: dict[str, Callable[[], Figures]] = {
        "5 GigE cameras, drivers in processes": partial(_triggered, triggers, make_camera),
        "5 GigE cameras, drivers in threads": partial(_triggered, triggers // 5, make_driver),
        "one camera frozen for 5 s": partial(one_camera_goes, FakeCamera.freeze, FakeCamera.thaw),
        "one camera killed, back after 5 s": partial(one_camera_goes, FakeCamera.kill, FakeCamera.start),
        "5 x 1080p MJPEG at 10 fps, in processes": partial(_decoding, make_camera),
        "5 x 1080p MJPEG at 10 fps, in threads": partial(_decoding, make_driver),
        f"{sets} sets of 5 views": partial(_memory, sets),
    }
    for name, measure in parts.items():
        figures[name] = measure()
        console.print(f"{name}: " + ", ".join(f"{key} {value:g}" for key, value in figures[name].items()))
    if json_output:
        click.echo(json.dumps(figures))


def _triggered(count: int, make: Make) -> Figures:
    """Software triggers to five cameras: which frames came together, and when."""
    made: list[Camera] = []

    def keep(view: str, config: CameraConfig) -> Camera:
        made.append(make(view, config))
        return made[-1]

    with fake_cameras(len(VIEWS)), Capture(gige_box(), VIEWS, "s", make=keep) as capture:
        before = _cpu_s()
        started_s = time.monotonic()
        sets, ages_ms = [], []
        for view_set in islice(capture.view_sets(), count):
            ages_ms.append((monotonic_ns() - view_set.triggered_ns) / 1e6)
            sets.append(_taken(view_set))
        elapsed_s = time.monotonic() - started_s
        delays = [d for camera in made if isinstance(camera, ProcessCamera) for d in camera.trigger_delays_ns]
    complete = [each for each in sets if len(each.frames) == len(VIEWS)]
    figures = {
        "triggers": float(count),
        "complete": float(len(complete)),
        "mis-paired": float(_mispaired(complete)),
        "wraps": float(sum(b < a for a, b in pairwise(each.counter for each in complete))),
        "trigger to set p50 ms": round(float(np.median(ages_ms)), 1),
        "p99 ms": round(float(np.quantile(ages_ms, 0.99)), 1),
    }
    if delays:
        figures["fan-out p50 ms"] = round(float(np.median(delays)) / 1e6, 2)
        figures["fan-out p99 ms"] = round(float(np.quantile(delays, 0.99)) / 1e6, 2)
    else:  # of processes, the time counts only when they end
        figures["cores"] = round((_cpu_s() - before) / elapsed_s, 2)
    return figures


@dataclass(frozen=True, kw_only=True)
class _Taken:
    """A view set without its images.

    Attributes:
        at_ns: the trigger, on the wall clock, which is also the clock of these cameras.
        frames: view → when its camera says that it took the image.
    """

    at_ns: int
    frames: dict[str, int]
    counter: int


def _taken(view_set: ViewSet) -> _Taken:
    frames = {view: f.device_ns for view, f in view_set.frames.items() if f.device_ns is not None}
    counter = next((f.counter for f in view_set.frames.values() if f.counter is not None), 0)
    at_ns = view_set.triggered_ns + time.time_ns() - monotonic_ns()
    return _Taken(at_ns=at_ns, frames=frames, counter=counter)


def _mispaired(sets: list[_Taken]) -> int:
    """Sets with an image that its camera took before this trigger or after the next one."""
    wrong = 0
    for taken, following in pairwise(sets):
        wrong += any(not taken.at_ns <= at_ns < following.at_ns for at_ns in taken.frames.values())
    return wrong


def one_camera_goes(
    begin: Callable[[FakeCamera], None],
    end: Callable[[FakeCamera], None],
    told: Callable[[ViewSet], bool] = lambda view_set: "C1" in view_set.missing,
) -> Figures:
    """One of five cameras goes and comes back: how soon it is told, and what the others deliver meanwhile."""
    with fake_cameras(len(VIEWS)) as cameras, Capture(gige_box(), VIEWS, "s") as capture:
        sets = capture.view_sets()
        for _ in islice(sets, 30):
            pass
        begin(cameras[0])
        gone_ns = monotonic_ns()
        away = [
            (tuple(view_set.frames), told(view_set), monotonic_ns()) for view_set in _for_seconds(sets, 5.0)
        ]
        end(cameras[0])
        back_ns = monotonic_ns()
        whole_ns = next(monotonic_ns() for view_set in sets if not view_set.missing)
    told_ns = next(at for _, is_told, at in away if is_told)
    others = [len(set(views) - {"C1"}) for views, _, _ in away]
    return {
        "told after ms": round((told_ns - gone_ns) / 1e6),
        "others' frames per trigger of 4": round(float(np.mean(others)), 3),
        "complete again after s": round((whole_ns - back_ns) / 1e9, 2),
    }


def _decoding(make: Make) -> Figures:
    with _clips(width=1920, height=1080, rate_hz=10.0) as box:
        before, started_s = _cpu_s(), time.monotonic()
        with Capture(box, VIEWS, "s", make=make) as capture:
            opened, opened_s = _cpu_s(), time.monotonic()
            ages_ms = [
                (monotonic_ns() - max(f.captured_ns for f in view_set.frames.values())) / 1e6
                for view_set in _for_seconds(capture.view_sets(), 15.0)
                if not view_set.missing
            ]
        # Starting processes costs once; their time is only known when they have ended.
        whole = (_cpu_s() - before) / (time.monotonic() - started_s)
        own = (_cpu_s() - opened) / (time.monotonic() - opened_s)
    figures = {
        "sets": float(len(ages_ms)),
        "cores, starts included": round(whole if make is make_camera else own, 2),
    }
    if ages_ms:
        figures["due to set p50 ms"] = round(float(np.median(ages_ms)), 1)
    return figures


def _memory(count: int) -> Figures:
    made: list[ProcessCamera] = []

    def keep(view: str, config: CameraConfig) -> Camera:
        made.append(ProcessCamera(view, config))
        return made[-1]

    used: list[float] = []
    with (
        _clips(width=160, height=120, rate_hz=100.0) as box,
        Capture(box, VIEWS, "s", make=keep) as capture,
    ):
        for number, _ in enumerate(islice(capture.view_sets(), count)):
            if number in {1000, count - 1}:
                used.append(sum(_resident_mb(camera.pid) for camera in made) + _resident_mb(os.getpid()))
    return {"MB after 1000": round(used[0], 1), "MB at the end": round(used[-1], 1)}


def gige_box(**camera: object) -> BoxConfig:
    """A box with five of the cameras; keywords are settings of each."""
    cameras = {
        view: {"kind": "genicam", "address": f"127.0.0.{k}", "read_timeout_ms": 2000.0, **camera}
        for k, view in enumerate(VIEWS, 2)
    }
    return _box({"source": "interval", "period_ms": PERIOD_MS, "timeout_ms": TIMEOUT_MS}, cameras, 45.0)


@contextmanager
def _clips(*, width: int, height: int, rate_hz: float) -> Iterator[BoxConfig]:
    """A free-running box on MJPEG clips with the detail of a photograph."""
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.avi"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate_hz, (width, height))
        for _ in range(10):
            coarse = random.integers(0, 255, (height // 16, width // 16, 3), np.uint8)
            writer.write(np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)))
        writer.release()
        cameras = {view: {"kind": "file", "path": str(path), "loop": True} for view in VIEWS}
        yield _box({"source": "free", "timeout_ms": 500.0}, cameras, 4.0)


def _box(trigger: dict[str, object], cameras: dict[str, dict[str, object]], max_skew_ms: float) -> BoxConfig:
    document = {
        "station": {"site": "bench", "line": "l", "station": "s"},
        "bundle": "none.bundle",
        "trigger": trigger,
        "cameras": cameras,
        "sync": {"max_skew_ms": max_skew_ms},
        "decision": {"deadline_ms": 1000.0},
        "runtime": {"backend": "openvino"},
        "mqtt": {"host": "localhost"},
        "outbox": {"path": "outbox.db"},
    }
    return parse_document(BoxConfig, document, what="bench", error=ConfigError)


def _for_seconds(sets: Iterator[ViewSet], seconds: float) -> Iterator[ViewSet]:
    until_s = time.monotonic() + seconds
    for view_set in sets:
        yield view_set
        if time.monotonic() > until_s:
            return


def _cpu_s() -> float:
    """Processor time of this process and of its children that have ended."""
    own, ended = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime


def _resident_mb(pid: int | None) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


if __name__ == "__main__":
    main()
