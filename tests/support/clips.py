"""H.264 clips whose frames tell their number: a red bar that goes two pixels to the right every frame."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from edgeflow.contracts.images import RgbImage

__all__ = ["KEY_EVERY", "bar_at", "packets_of", "write_clip"]

WIDTH, HEIGHT, BAR = 112, 64, 12
KEY_EVERY = 10


def write_clip(path: Path, *, frames: int, between: int = 2, rate: int = 25) -> Path:
    """A clip with a key frame every tenth frame; all others tell only what changed.

    Args:
        between: frames in a row that are told from both sides and stored out of turn, as recorders do; live
            cameras have none.
    """
    texture = np.random.default_rng(1).integers(0, 60, (HEIGHT, WIDTH, 3))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.gop_size = KEY_EVERY
        stream.options = {"bf": str(between), "x264-params": "scenecut=0"}
        for number in range(frames):
            image = (40 + texture).astype(np.uint8)
            left = 2 * (number % 50)
            image[20:44, left : left + BAR] = (220, 30, 30)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def bar_at(image: RgbImage) -> int:
    """The number of the frame, of fifty, that an image shows."""
    red = image[20:44, :, 0].astype(int) - image[20:44, :, 1] > 90
    columns = np.flatnonzero(red.sum(0) > 12)
    assert abs(len(columns) - BAR) <= 2, "the bar is smeared"
    return round((int(columns[0]) + int(columns[-1]) + 1 - BAR) / 4)


def packets_of(path: Path) -> list[tuple[int, int]]:
    """Place and size in the file of every stored frame, in stored order."""
    with av.open(str(path)) as container:
        return [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
