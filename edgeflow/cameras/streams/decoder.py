"""Video streams and files through FFmpeg's libraries: opened and read within limits, damage noticed."""

from __future__ import annotations

import io
import struct
from collections import deque
from typing import Any

import av
import av.logging
import numpy as np
from av.format import Flags

from edgeflow.cameras.streams.key_frames import KeyFrameTracker
from edgeflow.clock import monotonic_ns
from edgeflow.contracts.image_files.orientation import UPRIGHT, turned
from edgeflow.contracts.images import MAX_PIXELS, RgbImage, opened_image
from edgeflow.errors import CameraError, DataError

__all__ = ["DamagedFrame", "Video", "rgb_of", "time_ns"]

# The libraries print what goes wrong, with the credentials in a URL; our errors say it without them.
av.logging.set_level(None)

# Damage that a decoder notices is an error, not a picture; sizes are checked before any memory is taken.
_DECODER = {"err_detect": "crccheck+bitstream+buffer+explode", "max_pixels": str(MAX_PIXELS)}


# Signs of a display matrix: where one step right and one step down of the stored picture lead.
_ORIENTATIONS = {
    (-1, 0, 0, 1): 2,
    (-1, 0, 0, -1): 3,
    (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5,
    (0, 1, -1, 0): 6,
    (0, -1, -1, 0): 7,
    (0, -1, 1, 0): 8,
}


class DamagedFrame(Exception):  # noqa: N818 - the stream itself goes on
    """Received data that cannot be decoded."""


class Video:
    """The first video track of a stream or file, frame by frame.

    Args:
        name: for messages; ``source`` itself may hold a password and is never shown.
        advice: what to check where it cannot be opened.
        turn: give pictures in the way in which the stream says that they are to be looked at: by a display
            matrix, as in clips of phones, or by EXIF in MJPEG; False: as they are stored.

    Raises:
        CameraError: cannot be opened within ``open_s``, or holds no video.
    """

    def __init__(
        self,
        source: str,
        *,
        name: str,
        open_s: float,
        read_s: float,
        options: dict[str, str],
        advice: str,
        turn: bool = True,
    ) -> None:
        self._name = name
        self._read_s = read_s
        self._turn = turn
        self._decoded: deque[Any] = deque()
        started_ns = monotonic_ns()
        try:
            self._container = av.open(source, timeout=(open_s, read_s), options=options)
        except (av.FFmpegError, OSError, ValueError) as cause:
            # A server that is silent from the start ends in the odd error "invalid data".
            timed_out = monotonic_ns() - started_ns >= open_s * 1e9
            why = _silence(open_s) if timed_out else _reason(cause, open_s)
            # The cause holds the URL with its password.
            raise CameraError(f"{name}: cannot be opened: {why}; {advice}") from None
        if not self._container.streams.video:
            self.close()
            raise CameraError(f"{name}: holds no video; {advice}")
        self._track = self._container.streams.video[0]
        self._track.codec_context.options = _DECODER
        self._track.codec_context.thread_count = 1  # several would hold frames back
        self._packets = self._container.demux(self._track)
        self._continuity = KeyFrameTracker(intra=self._track.codec_context.codec.intra_only)
        self._is_jpeg = self._track.codec_context.name == "mjpeg"
        self._jpeg_orientation = UPRIGHT  # of the latest packet, which holds one whole picture
        self.orientation = UPRIGHT
        """EXIF orientation of the latest frame; see ``rgb_of``."""
        self._inside = 0  # packets whose frames the decoder still holds
        self._lost: deque[str] = deque()  # why, of every frame that is still to be reported
        self.waited_ns = 0
        """Time that the reader waited for the latest data."""

    @property
    def rate_hz(self) -> float:
        """Frames per second by the file; 0 where it has none."""
        return float(self._track.average_rate or 0)

    @property
    def has_time(self) -> bool:
        """True if frames carry the sender's times; otherwise they are only counted."""
        return not self._container.format.flags & Flags.no_timestamps.value

    def next(self) -> Any | None:
        """The next decoded frame (``av.VideoFrame``), or None at the end.

        Raises:
            DamagedFrame: one frame is damaged, or builds on what is; the next call goes on behind it.
            CameraError: nothing came in time, or the connection is lost.
        """
        while not self._decoded:
            if self._lost:
                raise DamagedFrame(self._lost.popleft())
            packet = self._packet()
            if packet is None:
                return None
            self._take(packet)
        frame = self._decoded.popleft()
        if self._turn:
            self.orientation = self._jpeg_orientation if self._is_jpeg else _matrix_orientation(frame)
        if frame.is_corrupt:
            self._inside += 1 + len(self._decoded)
            self._decoded.clear()
            self._distrust("parts of it are missing")
            raise DamagedFrame(self._lost.popleft())
        return frame

    def close(self) -> None:
        """Release everything; safe to call twice."""
        self._container.close()

    def _take(self, packet: Any) -> None:
        """Decode a packet, unless the frames that it depends on are missing."""
        if packet.size:
            stamp = packet.pts if packet.dts is None else packet.dts
            doubt = self._continuity.doubt(key=packet.is_keyframe, stamp=stamp)
            if doubt:
                self._drain()
                self._lost.append(doubt)
                return
            if not self._continuity.begun:
                return
            self._inside += 1
            if self._is_jpeg and self._turn:
                self._jpeg_orientation = _jpeg_orientation(bytes(packet))
        try:
            frames = packet.decode()
        except EOFError:
            return
        except (av.FFmpegError, ValueError) as cause:
            self._distrust(_reason(cause, self._read_s))
        else:
            self._inside -= len(frames)
            self._decoded.extend(frames)

    def _drain(self) -> None:
        """Return the frames before the missing one, which are intact, and restart the decoder."""
        if self._inside:
            self._decoded.extend(self._track.codec_context.decode(None))
            self._track.codec_context.flush_buffers()
            self._inside = 0

    def _distrust(self, why: str) -> None:
        """Drop the frames in the decoder, and those that depend on them."""
        self._lost.extend([why] * self._inside)
        self._inside = 0
        self._track.codec_context.flush_buffers()
        self._continuity.broken()

    def _packet(self) -> Any | None:
        begun_ns = monotonic_ns()
        try:
            packet = next(self._packets, None)
        except EOFError:
            return None
        except (av.FFmpegError, OSError) as cause:
            why = _reason(cause, self._read_s)
            raise CameraError(f"{self._name}: {why}; check cable, power and network load") from None
        self.waited_ns = monotonic_ns() - begun_ns
        return packet


def time_ns(frame: Any) -> int | None:
    """A decoded frame's own time; None where it has none."""
    return None if frame.pts is None else round(frame.pts * frame.time_base * 1_000_000_000)


def rgb_of(frame: Any, orientation: int) -> RgbImage:
    """Convert a decoded frame to uint8 (H, W, 3), red first, in its orientation."""
    return turned(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8), orientation)


def _matrix_orientation(frame: Any) -> int:
    """EXIF's number of a frame's display matrix; 1 where it has none, or one that is no quarter turn."""
    try:
        matrix = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # side data of a kind that PyAV does not know
        return UPRIGHT
    if matrix is None:
        return UPRIGHT
    # Where one step right (a, b) and one step down (c, d) of the stored picture lead in the shown one.
    a, b, _, c, d = struct.unpack_from("=5i", bytes(matrix))
    return _ORIENTATIONS.get((_sign(a), _sign(b), _sign(c), _sign(d)), UPRIGHT)


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


def _jpeg_orientation(data: bytes) -> int:
    """EXIF orientation of a JPEG picture; FFmpeg's decoder reports rotation without mirroring."""
    try:
        with opened_image(io.BytesIO(data), "frame") as (_, header):
            return header.orientation
    except DataError:
        return UPRIGHT  # its decoder says what is wrong


def _silence(limit_s: float) -> str:
    return f"no answer within {1000 * limit_s:g} ms"


def _reason(error: Exception, limit_s: float) -> str:
    """FFmpeg's message without the URL that it repeats."""
    if isinstance(error, av.ExitError):
        return _silence(limit_s)
    text = getattr(error, "strerror", None) or type(error).__name__
    return str(text)[:1].lower() + str(text)[1:]
