"""Frames from before the line runs: the latest one of each view, waited for up to a time."""

from __future__ import annotations

import threading

import numpy as np

from edgeflow.cameras.camera import Frame
from edgeflow.capture.first_frames import FirstFrames


def frame(view: str, number: int) -> Frame:
    return Frame(view=view, image=np.zeros((1, 1, 3), np.uint8), captured_ns=number, frame_id=number)


def test_the_latest_frame_of_each_view_is_kept() -> None:
    frames = FirstFrames()
    for number, view in enumerate(("top", "left", "top")):
        frames.add(frame(view, number))
    assert {view: f.frame_id for view, f in frames.wait(2, 0.0).items()} == {"top": 2, "left": 1}
    frames.clear()
    assert frames.wait(2, 0.0) == {}


def test_waiting_ends_with_the_last_view() -> None:
    frames = FirstFrames()
    frames.add(frame("top", 0))
    camera = threading.Timer(0.05, frames.add, (frame("left", 1),))
    camera.start()
    assert set(frames.wait(2, 30.0)) == {"top", "left"}
    camera.join()
