"""Connection of one Modbus client: its requests in order, and when it is ended."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from typing import Any

from pymodbus.constants import ExcCodes
from pymodbus.exceptions import ModbusIOException
from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.server import ModbusTcpServer
from pymodbus.server.requesthandler import ServerRequestHandler

__all__ = ["IDLE_S", "Connection"]

logger = logging.getLogger(__name__)

IDLE_S = 60.0
_UNREAD_BYTES = 64 * 1024
_HEADER_BYTES = 6  # transaction, protocol, length of what follows
_LONGEST = 254  # what follows
_AT_ONCE = 16  # requests that a client may send before it has an answer


class _OddBytesError(Exception):
    """A client sends something else than Modbus TCP."""


class Connection(ServerRequestHandler):
    """Connection of one client.

    pymodbus takes one request out of what arrives together, and the next one when more arrives. A client that
    asks for several blocks at once would get its answers late, or never.

    Args:
        refused: there are too many clients; it is closed at once.
    """

    def __init__(self, server: ModbusTcpServer, *, refused: bool) -> None:
        super().__init__(server, None, None, None)
        self._refused = refused
        self._heard_s = time.monotonic()
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def callback_connected(self) -> None:
        """Begin, or end at once where there are too many clients; called by pymodbus."""
        super().callback_connected()
        if self._refused:
            self.close()

    def callback_data(self, data: bytes, addr: tuple[Any, ...] | None = None) -> int:  # noqa: ARG002
        """Take what arrived; return how many bytes of it were whole requests. Called by pymodbus."""
        self._heard_s = time.monotonic()
        try:
            frames = list(_frames(data))
        except _OddBytesError as cause:
            logger.warning("a client is cut: %s", cause)
            self.cut()
            return len(data)
        if frames:
            task = asyncio.get_running_loop().create_task(self._answer(frames))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return sum(map(len, frames))

    async def _answer(self, frames: list[bytes]) -> None:
        async with self._turn:
            for frame in frames:
                self.last_pdu, self.last_addr = self._read(frame), None
                if self.last_pdu is not None:
                    await self.handle_request()

    def _read(self, frame: bytes) -> ModbusPDU | None:
        """Return a request; answer what is none."""
        try:
            _, request = self.framer.handleFrame(frame, 0, 0)
        except ModbusIOException as odd:
            answer = ExceptionResponse(
                odd.fcode or 0,
                ExcCodes.ILLEGAL_FUNCTION,
                device_id=odd.dev_id,
                transaction=odd.transaction_id,
            )
            self.server_send(answer, None)
            return None
        return request

    def hinders(self, now_s: float) -> bool:
        """Return True if this client asks nothing, or takes no answers."""
        unread = self.transport.get_write_buffer_size() if self.transport else 0
        return now_s - self._heard_s > IDLE_S or unread > _UNREAD_BYTES

    def cut(self) -> None:
        """End the connection without waiting for what the client has not taken."""
        if self.transport:
            self.transport.abort()
        self.close()


def _frames(data: bytes) -> Iterator[bytes]:
    """Yield the whole requests at the beginning of what arrived.

    Raises:
        _OddBytesError: it is no Modbus TCP, or more requests than a client may have open.
    """
    begin = count = 0
    while len(data) - begin >= _HEADER_BYTES:
        protocol = int.from_bytes(data[begin + 2 : begin + 4])
        length = int.from_bytes(data[begin + 4 : begin + 6])
        if protocol != 0 or not 2 <= length <= _LONGEST:
            raise _OddBytesError(f"it sends no Modbus TCP (protocol {protocol}, length {length})")
        end = begin + _HEADER_BYTES + length
        if end > len(data):
            return
        count += 1
        if count > _AT_ONCE:
            raise _OddBytesError(f"it sends more than {_AT_ONCE} requests at once")
        yield data[begin:end]
        begin = end
