"""Network cameras that stream by themselves: RTSP, or MJPEG over HTTP."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from edgeflow.cameras.addresses import public_url
from edgeflow.cameras.camera import Frame, FrameLost
from edgeflow.cameras.streams.decoder import DamagedFrame, Video, rgb_of, time_ns
from edgeflow.cameras.streams.stream_clock import Moment, PaceClock, StreamClock
from edgeflow.cameras.streams.tls import certificate_problem, tls_options
from edgeflow.clock import monotonic_ns
from edgeflow.config.box import RtspConfig
from edgeflow.errors import CameraError
from edgeflow.security.secret_file import read_password

__all__ = ["RtspCamera"]

_SETTLING_NS = 10**9  # from the first picture; nobody needs to be told that it is measured meanwhile


class RtspCamera:
    """A camera that runs by itself; software triggers are ignored. ``read`` waits for its next frame."""

    def __init__(self, view: str, config: RtspConfig) -> None:
        self._view = view
        self._config = config
        self._name = f"camera '{view}' ({public_url(config.url)})"
        self._video: Video | None = None
        self._size: tuple[int, int] | None = None
        self._count = 0
        self._clock: StreamClock | PaceClock = PaceClock()
        self._first_ns = 0  # when the first picture came

    @property
    def view(self) -> str:
        """View that the camera delivers."""
        return self._view

    @property
    def serial(self) -> None:
        """Streams have none."""

    def open(self, epoch_ns: int) -> None:  # noqa: ARG002 - a live camera has no start of its own
        """Connect.

        Raises:
            CameraError: not reachable, wrong user or password, no such stream, or no answer in time.
        """
        self.close()
        self._size = None
        self._first_ns = 0
        options = tls_options(self._config, self._name)
        if self._config.url.startswith("rtsp"):
            options |= {"rtsp_transport": self._config.transport, "fflags": "nobuffer"}
        try:
            self._video = self._opened(options)
        except CameraError as cause:
            why = certificate_problem(self._config, self._config.open_timeout_ms / 1000)
            if why:
                raise CameraError(f"{self._name}: {why}") from cause
            raise
        self._clock = PaceClock()
        if self._video.has_time and self._config.stamps == "stream":
            self._clock = StreamClock(max_late_ns=round(self._config.max_late_ms * 1e6))

    def trigger(self, trigger_id: str) -> None:
        """Ignored: the camera runs by itself."""

    def read(self, timeout_s: float) -> Frame:  # noqa: ARG002 - limited by read_timeout_ms
        """Return the next frame; this may take up to ``read_timeout_ms``.

        What comes before the stream's time is known, within a second after it was opened, is passed over.

        Raises:
            FrameLost: a frame came damaged, or late.
            CameraError: no frame in time, the connection is lost, or the stream changed its size.
        """
        while True:
            video = self._connected()
            frame, moment = self._next(video)
            self._count += 1
            if moment.usable:
                return Frame(
                    view=self._view,
                    image=rgb_of(frame, video.orientation),
                    captured_ns=moment.captured_ns,
                    frame_id=self._count - 1,
                )
            if monotonic_ns() - self._first_ns > _SETTLING_NS:
                raise FrameLost(
                    f"{self._name}: pictures come late, or the stream's time began anew; not used until this "
                    "is over; check the network's load and the camera's rate"
                )

    def _connected(self) -> Video:
        if self._video is None:
            raise CameraError(f"{self._name}: read before it was opened")
        return self._video

    def _next(self, video: Video) -> tuple[Any, Moment]:
        """The next picture, and when it was taken."""
        try:
            frame = video.next()
        except DamagedFrame as cause:
            self._count += 1
            raise FrameLost(f"{self._name}: frame {self._count - 1} is damaged: {cause}") from None
        arrived_ns = monotonic_ns()
        self._first_ns = self._first_ns or arrived_ns
        if frame is None:
            raise CameraError(f"{self._name}: the camera ended the stream; check its settings")
        size = frame.width, frame.height
        if self._size not in {None, size}:
            raise CameraError(
                f"{self._name}: the stream changed its size from {self._size} to {size} in mid-run; "
                "set one resolution in the camera"
            )
        self._size = size
        stream_ns = time_ns(frame)
        if stream_ns is None and isinstance(self._clock, StreamClock):
            self._clock = PaceClock()
        if isinstance(self._clock, StreamClock):
            return frame, self._clock.moment(stream_ns or 0, arrived_ns)
        return frame, self._clock.moment(arrived_ns, waited_ns=video.waited_ns)

    def close(self) -> None:
        """Close the stream; safe to call twice."""
        video, self._video = self._video, None
        if video is not None:
            video.close()

    def _opened(self, options: dict[str, str]) -> Video:
        return Video(
            self._address(),
            name=self._name,
            open_s=self._config.open_timeout_ms / 1000,
            read_s=self._config.read_timeout_ms / 1000,
            options=options,
            turn=self._config.orientation != "ignored",
            advice="check address, user, password, stream path and network",
        )

    def _address(self) -> str:
        """The URL with its credentials, for FFmpeg alone."""
        config = self._config
        if config.username is None or config.password_file is None:
            return config.url
        try:
            password = read_password(config.password_file).strip()
        except (OSError, ValueError) as cause:
            # The error text of a decoding error would hold the password's bytes.
            why = cause.strerror if isinstance(cause, OSError) else "not UTF-8 text"
            raise CameraError(
                f"{self._name}: {config.password_file} cannot be read: {why}; check its path and rights"
            ) from None
        scheme, _, rest = config.url.partition("://")
        return f"{scheme}://{quote(config.username, safe='')}:{quote(password, safe='')}@{rest}"
