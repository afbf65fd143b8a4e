"""GigE Vision and USB3 Vision cameras through Aravis."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Any, NoReturn

from edgeflow.cameras.camera import Frame, FrameLost
from edgeflow.cameras.genicam.aravis import load_aravis
from edgeflow.cameras.genicam.clock_latch import ClockLatch
from edgeflow.cameras.genicam.counter_unwrapping import UnwrappedCounter
from edgeflow.cameras.genicam.device_clock import DeviceClock
from edgeflow.cameras.genicam.features import apply_features, read_features
from edgeflow.cameras.genicam.pixel_formats import to_rgb
from edgeflow.cameras.genicam.trigger_pairing import TriggerPairing
from edgeflow.clock import monotonic_ns
from edgeflow.config.box import GenicamConfig
from edgeflow.errors import CameraError, ConfigError

__all__ = ["GenicamCamera"]

_BUFFERS = 8
_GIGE_BITS = 16
_WARM_UP = 4
_WARM_UP_PAUSE_S = 0.010  # more before each: a camera that answers at ticks of its own answers one at once
_WARM_UP_WAIT_US = 1_000_000
_WARM_UP_LEAST_MS = 1500.0  # a camera that does not answer is asked twice before it is given up
_WARM_UP_MOST = 12  # images that came damaged
_WARM_UP_ROUNDS = 3
_QUIET_US = 100_000
_LONG_BITS = 64  # USB3 Vision, and GigE Vision cameras with extended ids


class GenicamCamera:
    """Takes an image per software trigger, per edge on a line, or by itself.

    An image with missing packets is never delivered, but reported as lost. Stamps are those of the
    camera's clock, moved to the computer's (see ``DeviceClock``). An image that a software trigger caused
    names it (see ``TriggerPairing``); one of which this is not sure is reported as lost.
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
        self._latch: ClockLatch | None = None
        self._pairing = TriggerPairing(self._clock)
        self._pairing_lock = threading.Lock()
        self._positions = UnwrappedCounter()
        self._newest: int | None = None  # the furthest position so far
        self._delivered = 0
        self._counter_bits = _GIGE_BITS
        self._arrived_ns = 0
        self._failure = ""

    @property
    def view(self) -> str:
        """View that the camera delivers."""
        return self._view

    @property
    def serial(self) -> str | None:
        """Serial number that the camera reports, also where the box file has an address."""
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
        """Give a software trigger, where the camera waits for one."""
        if not self._software or self._device is None:
            return
        with self._pairing_lock:
            self._pairing.sent(trigger_id, monotonic_ns())
        try:
            self._device.software_trigger()
        except self._error as cause:
            self._failure = f"does not take triggers: {_text(cause)}"

    def read(self, timeout_s: float) -> Frame | None:
        """Return the next image.

        Raises:
            FrameLost: an image came with missing packets, in a format that cannot be used, or of a trigger
                that is not sure.
            CameraError: the connection is lost, no image that is due came for ``read_timeout_ms``, or
                triggers and images could not be paired for long.
        """
        if self._stream is None:
            raise CameraError(f"{self._name}: read before it was opened")
        if self._failure:
            raise CameraError(f"{self._name}: {self._failure}; check its power and cable")
        buffer = self._stream.timeout_pop_buffer(round(timeout_s * 1e6))
        now_ns = monotonic_ns()
        if self._latch is not None:
            self._latch.compare(now_ns, busy=self._owed_since_ns() is not None)
        if buffer is None:
            self._look_for_overdue(now_ns)
            return None
        self._arrived_ns = now_ns
        try:
            return self._frame(buffer, now_ns)
        finally:
            self._stream.push_buffer(buffer)

    def close(self) -> None:
        """Release the device; safe to call twice."""
        device, self._device, self._stream = self._device, None, None
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
        """Return True when a GigE Vision camera numbers its frames with 64 bits."""
        name = "GevGVSPExtendedIDMode"
        return bool(self._device.is_feature_available(name) and self._device.get_string(name) == "On")

    def _start(self) -> None:
        self._stream = self._device.create_stream(None, None)
        payload = self._device.get_payload()
        for _ in range(_BUFFERS):
            self._stream.push_buffer(self._aravis.Buffer.new_allocate(payload))
        self._arrived_ns = monotonic_ns()
        self._device.start_acquisition()
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Forget what was known of the camera's clock and count."""
        self._clock = DeviceClock()
        self._pairing = TriggerPairing(self._clock)
        self._positions = UnwrappedCounter()
        self._newest = None
        self._latch = ClockLatch(self._device, self._error, self._clock)
        self._latch.start()

    def _warm_up(self) -> None:
        """Take a few images that are dropped: the first one is slow, and the clocks are compared on them.

        A camera on a trigger line cannot be asked; its frames are paired by their counters.
        """
        if self._config.trigger_line is not None:
            return
        for _ in range(_WARM_UP_ROUNDS):
            longest_ns = self._take_dropped()
            if not self._software or self._is_quiet(longest_ns):
                return
            self._begin_anew()
        raise CameraError(
            f"{self._name}: gives more images than it was asked for; set TriggerMode, TriggerSource and "
            "AcquisitionMode so that a software trigger takes one image"
        )

    def _take_dropped(self) -> int:
        """Take images one after the other; return the longest time from trigger to arrival, ns."""
        got = whole = longest_ns = 0
        since_ns: int | None = None  # the first trigger that was not answered yet
        while got < _WARM_UP or (not whole and got < _WARM_UP_MOST):
            if self._software:  # one that comes before the camera is ready for it is without effect
                time.sleep(got * _WARM_UP_PAUSE_S)
                sent_ns = monotonic_ns()
                self._pairing.sent("", sent_ns)
                since_ns = sent_ns if since_ns is None else since_ns
                self._device.software_trigger()
            buffer = self._stream.timeout_pop_buffer(_WARM_UP_WAIT_US)
            if buffer is None:
                longest_ns = _WARM_UP_WAIT_US * 1000
                self._check_warm_up(got)
                continue
            got, self._arrived_ns = got + 1, monotonic_ns()
            longest_ns = max(longest_ns, self._arrived_ns - (since_ns or self._arrived_ns))
            whole += self._compare(buffer, since_ns)
            since_ns = None
        return longest_ns

    def _is_quiet(self, longest_ns: int) -> bool:
        """Return True when no image of an earlier trigger is left, which would shift the count by one.

        Where one came, the rest is waited for.
        """
        wait_us = _QUIET_US + 3 * longest_ns // 2000
        quiet = True
        while (buffer := self._stream.timeout_pop_buffer(wait_us)) is not None:
            quiet = False
            self._stream.push_buffer(buffer)
        return quiet

    def _check_warm_up(self, got: int) -> None:
        limit_ms = max(self._config.read_timeout_ms, _WARM_UP_LEAST_MS)
        if monotonic_ns() - self._arrived_ns > limit_ms * 1e6:
            raise CameraError(f"{self._name}: is open, but gave {got} images within {limit_ms:g} ms each")

    def _compare(self, buffer: Any, since_ns: int | None) -> bool:
        """Take an image that is dropped; return True when it was complete.

        Args:
            since_ns: when the first trigger was sent that can have caused it; None where that is not known.
        """
        whole: bool = buffer.get_status() == self._aravis.BufferStatus.SUCCESS
        position = self._position(buffer)
        device_ns, now_ns = int(buffer.get_timestamp()), monotonic_ns()
        self._stream.push_buffer(buffer)
        if position is None:
            self._pairing.lost(None)
            return False
        if whole and since_ns is not None:
            self._pairing.answered(position, device_ns, now_ns, since_ns=since_ns)
        else:
            if whole:
                self._clock.arrived(device_ns, now_ns)
            self._pairing.count_from(position)
        return whole

    def _position(self, buffer: Any) -> int | None:
        """Return the position of an image by the camera's count; None for one without its first packet.

        Such a one has the number of the image that was in its buffer before.
        """
        counter = int(buffer.get_frame_id())
        damaged = buffer.get_status() != self._aravis.BufferStatus.SUCCESS
        if damaged and counter == 0:
            return None
        position = self._positions.position_of(counter, self._counter_bits)
        if damaged and self._newest is not None and position <= self._newest:
            return None
        self._newest = position if self._newest is None else max(position, self._newest)
        return position

    def _frame(self, buffer: Any, now_ns: int) -> Frame:
        status = buffer.get_status()
        device_ns = int(buffer.get_timestamp())
        counter = int(buffer.get_frame_id())
        position = self._position(buffer)
        if status != self._aravis.BufferStatus.SUCCESS or position is None:
            why = f"frame {counter} is incomplete ({status.value_nick}); check packet size and network"
            with self._pairing_lock:
                trigger_id = self._pairing.lost(position)
            self._lose(why, trigger_id)
        trigger_id = self._paired(counter, position, device_ns, now_ns)
        captured_ns = self._clock.captured_ns(device_ns, now_ns)
        try:
            image = to_rgb(
                buffer.get_image_data(),
                buffer.get_image_height(),
                buffer.get_image_width(),
                buffer.get_image_pixel_format(),
            )
        except ValueError as cause:
            self._lose(f"frame {counter}: {cause}", trigger_id)
        self._delivered += 1
        return Frame(
            view=self._view,
            image=image,
            captured_ns=captured_ns,
            frame_id=self._delivered - 1,
            trigger_id=trigger_id,
            counter=counter,
            counter_bits=self._counter_bits,
            device_ns=device_ns,
            unsure_ns=self._clock.unsure_ns(device_ns),
        )

    def _paired(self, counter: int, position: int, device_ns: int, now_ns: int) -> str | None:
        """The software trigger that caused an image; None where the camera is not triggered that way."""
        if not self._software:
            return None
        with self._pairing_lock:
            paired = self._pairing.arrived(position, device_ns, now_ns)
        if paired.hopeless:
            raise CameraError(f"{self._name}: {paired.why}; it is set up anew")
        if paired.why:
            self._lose(f"frame {counter}: {paired.why}", paired.trigger_id)
        return paired.trigger_id

    def _lose(self, why: str, trigger_id: str | None) -> NoReturn:
        raise FrameLost(f"{self._name}: {why}", trigger_id=trigger_id)

    def _owed_since_ns(self) -> int | None:
        with self._pairing_lock:
            return self._pairing.owed_since_ns

    def _look_for_overdue(self, now_ns: int) -> None:
        """Reopen a camera whose image is overdue; on a trigger line this is not known."""
        since_ns = self._arrived_ns if self._config.free_running else now_ns
        owed_since_ns = self._owed_since_ns()
        if owed_since_ns is not None:
            since_ns = max(owed_since_ns, self._arrived_ns)
        if now_ns - since_ns > self._config.read_timeout_ms * 1e6:
            limit_ms = self._config.read_timeout_ms
            raise CameraError(f"{self._name}: no image within {limit_ms:g} ms; check its power and cable")


def _text(error: Exception) -> str:
    return str(getattr(error, "message", error))
