"""Network cameras that stream by themselves: RTSP, or MJPEG over HTTP."""

from __future__ import annotations

from urllib.parse import quote

from edgeflow.cameras.base import Frame, FrameLost
from edgeflow.cameras.libav import DamagedFrame, Video, rgb_of
from edgeflow.cameras.source import public_url
from edgeflow.clock import monotonic_ns
from edgeflow.config import RtspConfig
from edgeflow.errors import CameraError

__all__ = ["RtspCamera"]


class RtspCamera:
    """A camera that runs by itself; software triggers are ignored. ``read`` waits for its next frame."""

    def __init__(self, view: str, config: RtspConfig) -> None:
        self._view = view
        self._config = config
        self._name = f"camera '{view}' ({public_url(config.url)})"
        self._video: Video | None = None
        self._size: tuple[int, int] | None = None
        self._count = 0

    @property
    def view(self) -> str:
        return self._view

    @property
    def serial(self) -> None:
        """A stream does not tell it."""

    def open(self, epoch_ns: int) -> None:  # noqa: ARG002 - a live camera has no start of its own
        """Connect.

        Raises:
            CameraError: not reachable, wrong user or password, no such stream, or no answer in time.
        """
        self.close()
        self._size = None
        options = {}
        if self._config.url.startswith("rtsp"):
            options = {"rtsp_transport": self._config.transport, "fflags": "nobuffer"}
        self._video = Video(
            self._address(),
            name=self._name,
            open_s=self._config.open_timeout_ms / 1000,
            read_s=self._config.read_timeout_ms / 1000,
            options=options,
            advice="check address, user, password, stream path and network",
        )

    def trigger(self, trigger_id: str) -> None:
        """Ignored: the camera runs by itself."""

    def read(self, timeout_s: float) -> Frame:  # noqa: ARG002 - limited by read_timeout_ms
        """The next frame; it may take as long as ``read_timeout_ms``.

        Raises:
            FrameLost: a frame came damaged.
            CameraError: no frame in time, the connection is lost, or the stream changed its size.
        """
        if self._video is None:
            raise CameraError(f"{self._name}: read before it was opened")
        try:
            frame = self._video.next()
        except DamagedFrame as cause:
            self._count += 1
            raise FrameLost(f"{self._name}: frame {self._count - 1} is damaged: {cause}") from None
        captured_ns = monotonic_ns()
        if frame is None:
            raise CameraError(f"{self._name}: the camera ended the stream; check its settings")
        size = frame.width, frame.height
        if self._size not in {None, size}:
            raise CameraError(
                f"{self._name}: the stream changed its size from {self._size} to {size} in mid-run; "
                "set one resolution in the camera"
            )
        self._size = size
        self._count += 1
        image = rgb_of(frame)
        return Frame(view=self._view, image=image, captured_ns=captured_ns, frame_id=self._count - 1)

    def close(self) -> None:
        video, self._video = self._video, None
        if video is not None:
            video.close()

    def _address(self) -> str:
        """The URL with its credentials, for FFmpeg alone."""
        config = self._config
        if config.username is None or config.password_file is None:
            return config.url
        try:
            password = config.password_file.read_text("utf-8").strip()
        except (OSError, ValueError) as cause:
            raise CameraError(
                f"{self._name}: {config.password_file} cannot be read: {cause}; check its path and rights"
            ) from cause
        scheme, _, rest = config.url.partition("://")
        return f"{scheme}://{quote(config.username, safe='')}:{quote(password, safe='')}@{rest}"
