"""GigE Vision and USB3 Vision cameras through Aravis."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import Any, NoReturn

from edgeflow.cameras.aravis import load_aravis
from edgeflow.cameras.base import Frame, FrameLost
from edgeflow.cameras.device_clock import DeviceClock
from edgeflow.cameras.features import apply_features, read_features
from edgeflow.cameras.pixels import to_rgb
from edgeflow.clock import monotonic_ns
from edgeflow.config import GenicamConfig
from edgeflow.errors import CameraError, ConfigError

__all__ = ["GenicamCamera"]

_BUFFERS = 8
_GIGE_BITS = 16
_WARM_UP = 3
_WARM_UP_WAIT_US = 300_000
_LONG_BITS = 64  # USB3 Vision, and GigE Vision cameras with extended ids


class GenicamCamera:
    """Takes an image per software trigger, per edge on a line, or by itself.

    An image with missing packets is never delivered, but reported as lost. Stamps are those of the
    camera's clock, moved to the computer's (see ``DeviceClock``).
    """

    def __init__(self, view: str, config: GenicamConfig) -> None:
        self._view = view
        self._config = config
        self._name = f"camera '{view}' (serial {config.serial})"
        if config.address:
            self._name = f"camera '{view}' ({config.address})"
        self._software = not config.free_running and config.trigger_line is None
        self._aravis: Any = None
        self._error: type[Exception] = OSError  # Aravis' own, once it is loaded
        self._device: Any = None
        self._serial: str | None = None
        self._stream: Any = None
        self._clock = DeviceClock()
        self._delivered = 0
        self._counter_bits = _GIGE_BITS
        self._waiting: deque[tuple[str, int]] = deque(maxlen=64)  # software triggers without image
        self._arrived_ns = 0
        self._failure = ""

    @property
    def view(self) -> str:
        return self._view

    @property
    def serial(self) -> str | None:
        """As the camera says, also where the box file names an address."""
        return self._serial

    def open(self, epoch_ns: int) -> None:  # noqa: ARG002 - runs by its own or the trigger's clock
        """Connect, set and verify the features, arm the trigger and start.

        Raises:
            CameraError: not found, used by another program, or without what the box file asks of it.
        """
        self.close()
        try:
            self._aravis, self._error = load_aravis()
        except CameraError as cause:
            raise CameraError(f"{self._name}: {cause.message}") from cause
        features = {}
        if self._config.features is not None:
            try:
                features = read_features(self._config.features)
            except ConfigError as cause:
                raise CameraError(f"{self._name}: {cause.message}", problems=cause.problems) from cause
        try:
            self._device = self._connect()
            self._serial = self._device.get_device_serial_number() or None
            self._set_up(features)
            self._start()
            self._warm_up()
        except CameraError:
            self.close()
            raise
        except self._error as cause:
            self.close()
            raise CameraError(
                f"{self._name}: {_text(cause)}; check its power, cable and address, and that no other "
                "program uses it"
            ) from cause

    def trigger(self, trigger_id: str) -> None:
        """Software trigger, where the camera waits for such."""
        if not self._software or self._device is None:
            return
        self._waiting.append((trigger_id, monotonic_ns()))
        try:
            self._device.software_trigger()
        except self._error as cause:
            self._failure = f"does not take triggers: {_text(cause)}"

    def read(self, timeout_s: float) -> Frame | None:
        """The next image.

        Raises:
            FrameLost: an image came with missing packets, or in a format that cannot be used.
            CameraError: the connection is lost, or no image that is due came for ``read_timeout_ms``.
        """
        if self._stream is None:
            raise CameraError(f"{self._name}: read before it was opened")
        if self._failure:
            raise CameraError(f"{self._name}: {self._failure}; check its power and cable")
        buffer = self._stream.timeout_pop_buffer(round(timeout_s * 1e6))
        now_ns = monotonic_ns()
        if buffer is None:
            self._look_for_overdue(now_ns)
            return None
        self._arrived_ns = now_ns
        try:
            return self._frame(buffer, now_ns)
        finally:
            self._stream.push_buffer(buffer)

    def close(self) -> None:
        device, self._device, self._stream = self._device, None, None
        self._waiting.clear()
        self._failure = ""
        if device is not None:
            with suppress(self._error):  # it may be gone
                device.stop_acquisition()

    def _connect(self) -> Any:
        name = self._config.address or self._id_of(self._config.serial or "")
        device = self._aravis.Camera.new(name)
        if device.is_gv_device() and not device.get_device().is_controller():
            raise CameraError(f"{self._name}: another program controls it; stop that program")
        device.get_device().connect("control-lost", self._lost_control)
        device.set_range_check_policy(self._aravis.RangeCheckPolicy.ENABLE)  # off unless asked for
        return device

    def _id_of(self, serial: str) -> str:
        """The device id of the camera with a serial number."""
        aravis = self._aravis
        aravis.update_device_list()
        count = aravis.get_n_devices()
        found = {k: aravis.get_device_serial_nbr(k) for k in range(count)}
        ids = [str(aravis.get_device_id(k)) for k, own in found.items() if own == serial]
        if len(ids) == 1:
            return ids[0]
        there = ", ".join(sorted(str(own) for own in found.values())) or "none"
        raise CameraError(
            f"{self._name}: {len(ids) or 'no'} camera{'s' if ids else ''} with this serial number; attached "
            f"are: {there}; check its cable, its power and that its address is in this network"
        )

    def _lost_control(self, _device: object) -> None:
        self._failure = "the connection is lost"

    def _set_up(self, features: dict[str, Any]) -> None:
        config, device = self._config, self._device
        problems = apply_features(device, self._aravis, self._error, features)
        problems += apply_features(device, self._aravis, self._error, self._trigger_features())
        if problems:
            raise CameraError(f"{self._name}: does not do as configured", problems=problems)
        if device.is_gv_device():
            if config.packet_size == "auto":
                device.gv_auto_packet_size()
            elif config.packet_size is not None:
                device.gv_set_packet_size(config.packet_size)
            if config.packet_delay_ns is not None:
                device.gv_set_packet_delay(config.packet_delay_ns)
        elif config.packet_size or config.packet_delay_ns:
            raise CameraError(f"{self._name}: is no network camera; remove packet_size and packet_delay_ns")
        self._counter_bits = _GIGE_BITS if device.is_gv_device() and not self._extended() else _LONG_BITS

    def _trigger_features(self) -> dict[str, Any]:
        config = self._config
        device = self._device
        if config.free_running:
            return {"TriggerMode": "Off"} if device.is_feature_available("TriggerMode") else {}
        features: dict[str, Any] = {"TriggerSelector": "FrameStart", "TriggerMode": "On"}
        if config.trigger_line is None:
            return features | {"TriggerSource": "Software"}
        return features | {
            "TriggerSource": config.trigger_line,
            "TriggerActivation": config.trigger_activation,
        }

    def _extended(self) -> bool:
        """Whether a GigE Vision camera numbers its frames with 64 bits."""
        name = "GevGVSPExtendedIDMode"
        return bool(self._device.is_feature_available(name) and self._device.get_string(name) == "On")

    def _start(self) -> None:
        self._stream = self._device.create_stream(None, None)
        payload = self._device.get_payload()
        for _ in range(_BUFFERS):
            self._stream.push_buffer(self._aravis.Buffer.new_allocate(payload))
        self._clock = DeviceClock()
        self._arrived_ns = monotonic_ns()
        self._device.start_acquisition()

    def _warm_up(self) -> None:
        """A few images for nobody: the first one is slow, and the clocks are compared on what follows.

        A camera on a trigger line cannot be asked; its frames are paired by their counters.
        """
        if self._config.trigger_line is not None:
            return
        limit_ms = self._config.read_timeout_ms
        until_ns = monotonic_ns() + round(limit_ms * 1e6)
        got = 0
        while got < _WARM_UP:
            if monotonic_ns() > until_ns:
                raise CameraError(f"{self._name}: is open, but gave {got} images within {limit_ms:g} ms")
            if self._software:  # one that comes before the camera is ready for it is without effect
                self._device.software_trigger()
            buffer = self._stream.timeout_pop_buffer(_WARM_UP_WAIT_US)
            if buffer is None:
                continue
            got += 1
            if buffer.get_status() == self._aravis.BufferStatus.SUCCESS:
                self._clock.captured_ns(int(buffer.get_timestamp()), monotonic_ns())
            self._stream.push_buffer(buffer)

    def _frame(self, buffer: Any, now_ns: int) -> Frame:
        status = buffer.get_status()
        device_ns = int(buffer.get_timestamp())
        counter = int(buffer.get_frame_id())
        if status != self._aravis.BufferStatus.SUCCESS:
            self._lose(f"frame {counter} is incomplete ({status.value_nick}); check packet size and network")
        captured_ns = self._clock.captured_ns(device_ns, now_ns)
        while self._waiting and self._waiting[0][1] <= captured_ns:
            self._waiting.popleft()
        try:
            image = to_rgb(
                buffer.get_image_data(),
                buffer.get_image_height(),
                buffer.get_image_width(),
                buffer.get_image_pixel_format(),
            )
        except ValueError as cause:
            self._lose(f"frame {counter}: {cause}")
        self._delivered += 1
        return Frame(
            view=self._view,
            image=image,
            captured_ns=captured_ns,
            frame_id=self._delivered - 1,
            counter=counter,
            counter_bits=self._counter_bits,
            device_ns=device_ns,
        )

    def _lose(self, why: str) -> NoReturn:
        trigger_id = self._waiting.popleft()[0] if self._waiting else None
        raise FrameLost(f"{self._name}: {why}", trigger_id=trigger_id)

    def _look_for_overdue(self, now_ns: int) -> None:
        """A camera that owes an image for too long is reopened; on a line, nobody knows whether it does."""
        since_ns = self._arrived_ns if self._config.free_running else now_ns
        if self._waiting:
            since_ns = max(self._waiting[0][1], self._arrived_ns)
        if now_ns - since_ns > self._config.read_timeout_ms * 1e6:
            limit_ms = self._config.read_timeout_ms
            raise CameraError(f"{self._name}: no image within {limit_ms:g} ms; check its power and cable")


def _text(error: Exception) -> str:
    return str(getattr(error, "message", error))
