"""Modbus TCP server of a box: the latest decision in registers that a PLC reads and nobody writes.

In: decisions and state over the box's local socket. Out: registers; their table is in
``docs/how-to/modbus.md``. Where the box does not answer, the register ``gate`` says reject.

It runs on one event loop, in a process of its own beside the box. Read :class:`Registers` first.
"""

from __future__ import annotations

import asyncio
import logging
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.server.requesthandler import ServerRequestHandler
from pymodbus.simulator import DataType, SimData, SimDevice

from edgeflow.commands.follow import follow
from edgeflow.config.box import BoxConfig, ModbusConfig
from edgeflow.config.units import host_and_port
from edgeflow.errors import UsageError

__all__ = ["REASON_NUMBERS", "STATE_NUMBERS", "VERDICT_NUMBERS", "Registers", "serve_modbus"]

logger = logging.getLogger(__name__)

MAP_VERSION = 1
VERDICT_NUMBERS = {"OK": 1, "NG": 2, "UNDECIDED": 3}
STATE_NUMBERS = {
    "PreOperational": 1,
    "Initialized": 2,
    "Ready": 3,
    "SingleExecution": 4,
    "ContinuousExecution": 5,
    "Error": 6,
    "Halted": 7,
}
_REASONS = (
    "ok", "degraded", "defect", "missing_views", "skew", "mixed_parts", "unnamed_part", "overrun", "stopped",
    "trigger_refused", "unknown_product", "view_frozen", "view_blind", "not_scored", "scoring_failed",
    "score_not_finite", "no_threshold", "no_foreground", "late", "fault",
)  # fmt: skip
REASON_NUMBERS: Mapping[str, int] = {name: number for number, name in enumerate(_REASONS, start=1)}
"""Numbers of reasons; new ones are added at the end, and one that is not known here is 999."""

_UNKNOWN_REASON = 999
_READS = (3, 4)
_IDLE_S = 60.0
_UNREAD_BYTES = 64 * 1024
_LOOK_S = 0.5
_LAST_DIGITS = re.compile(r"(\d{1,18})\D*$")


class Registers:
    """The registers' values, from the box's stream; pure, the clock is an argument.

    Args:
        valid_s: returns how long a decision may be used, for a part's product.
        products: the box's products, in their order.
    """

    def __init__(self, valid_s: Callable[[str | None], float], products: tuple[str, ...] = ()) -> None:
        self._valid_s = valid_s
        self._products = products
        self._decision: Mapping[str, Any] | None = None
        self._decided_s = 0.0
        self._state: Mapping[str, Any] = {}
        self._counts: Counter[str] = Counter()
        self._session = ""
        self._beats = 0

    def take(self, item: Mapping[str, Any], now_s: float) -> None:
        """Take one item of the stream, see :func:`edgeflow.commands.follow.follow`."""
        kind = item["kind"]
        if kind == "lost":
            self._state, self._decision = {}, None
            return
        self._beats = (self._beats + 1) % 2**16
        if kind in ("hello", "state"):
            self._state = item["state"]
            self._begin(str(self._state["session"]))
        elif kind == "decision":
            self._decision, self._decided_s = item["decision"], now_s
            self._begin(str(self._decision["session"]))
            self._counts[str(self._decision["verdict"])] += 1

    def words(self, now_s: float) -> list[int]:
        """Return the registers from address 0 on."""
        decision = self._decision or {}
        age_ms = round((now_s - self._decided_s) * 1000) if decision else 0xFFFF
        product = decision.get("product") or self._state.get("product")
        return [
            MAP_VERSION,
            int(self._accepts(now_s)),
            self._beats,
            int(bool(self._state)),
            int(bool(self._state.get("ready"))),
            STATE_NUMBERS.get(str(self._state.get("state")), 0),
            VERDICT_NUMBERS.get(str(decision.get("verdict")), 0),
            REASON_NUMBERS.get(str(decision.get("reason_code")), _UNKNOWN_REASON) if decision else 0,
            *_two_words(int(decision.get("seq", 0))),
            *_two_words(_part_number(str(decision.get("part_id", "")))),
            min(max(age_ms, 0), 0xFFFF),
            self._products.index(product) + 1 if product in self._products else 0,
            *(word for verdict in VERDICT_NUMBERS for word in _two_words(self._counts[verdict])),
        ]

    def _accepts(self, now_s: float) -> bool:
        """Return True while a good part may pass: the box runs, its latest decision is OK and valid."""
        decision = self._decision
        if decision is None or self._state.get("state") != "ContinuousExecution":
            return False
        return decision["verdict"] == "OK" and now_s - self._decided_s <= self._valid_s(
            decision.get("product")
        )

    def _begin(self, session: str) -> None:
        """Forget what belongs to an earlier run of the box."""
        if session != self._session:
            if self._decision is not None and self._decision["session"] != session:
                self._decision = None
            self._session = session
            self._counts.clear()


def serve_modbus(config: BoxConfig, listen: str | None, ready: Callable[[str], None]) -> None:
    """Serve until a signal ends it.

    Args:
        listen: address and port instead of those of the box file.
        ready: called with the server's address once it listens.

    Raises:
        UsageError: there is no section, no such address, or it cannot be listened at.
    """
    section = config.modbus
    if section is None and listen is None:
        raise UsageError(
            "the box file has no section modbus: add 'modbus: {listen: 192.168.1.10:502}', or give --listen"
        )
    section = section or ModbusConfig()
    try:
        address = host_and_port(listen or section.listen)
    except ValueError as cause:
        raise UsageError(f"modbus.listen: {cause}") from cause
    asyncio.run(_serve(config, section, address, ready))


async def _serve(
    config: BoxConfig, section: ModbusConfig, address: tuple[str, int], ready: Callable[[str], None]
) -> None:
    products = config.products or {}

    def valid_s(product: str | None) -> float:
        own = products[product].valid_ms if product in products else None
        return (own or config.decision.valid_ms) / 1000

    registers = Registers(valid_s, tuple(products))
    await _require_free(address)
    server = _Server(registers, address, section.clients)
    try:
        await server.serve_forever(background=True)
    except RuntimeError as cause:
        raise _not_listening(address, "it is taken") from cause
    host, port = server.transport.sockets[0].getsockname()[:2]
    ready(f"{host}:{port}")
    works = [
        asyncio.create_task(_keep_up(config, section, registers)),
        asyncio.create_task(server.cut_idle_clients()),
    ]
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    end = asyncio.create_task(ended.wait())
    try:
        done, _ = await asyncio.wait([*works, end], return_when=asyncio.FIRST_COMPLETED)
        for work in done:
            work.result()
    finally:
        for work in (*works, end):
            work.cancel()
        await server.shutdown()


async def _keep_up(config: BoxConfig, section: ModbusConfig, registers: Registers) -> None:
    async for item in follow(config.control_socket, section.fail_safe_ms / 1000):
        if item["kind"] == "lost":
            logger.warning("%s; gate says reject", item["problem"])
        elif item["kind"] == "hello":
            logger.info("connected to the box")
        try:
            registers.take(item, time.monotonic())
        except (KeyError, TypeError, ValueError):  # of a box of another version
            logger.exception("a line of the box was not understood; gate says reject")
            registers.take({"kind": "lost"}, time.monotonic())


class _Server(ModbusTcpServer):
    """pymodbus's server with registers that are made when they are read, and with bounded clients."""

    def __init__(self, registers: Registers, address: tuple[str, int], clients: int) -> None:
        count = len(registers.words(0.0))

        async def answer(
            function: int, _start: int, _address: int, _count: int, current: list[int], values: Any
        ) -> ExcCodes | None:
            if function not in _READS or values is not None:
                return ExcCodes.ILLEGAL_FUNCTION
            current[:count] = registers.words(time.monotonic())
            return None

        data = SimData(0, count=count, values=0, datatype=DataType.REGISTERS)
        super().__init__(SimDevice(id=0, simdata=[data], action=answer), address=address)
        self._clients = clients

    def callback_new_connection(self) -> ServerRequestHandler:
        full = len(self.active_connections) >= self._clients
        if full:
            logger.warning("a client is refused: %d are connected already (modbus.clients)", self._clients)
        return _Connection(self, refused=full)

    async def cut_idle_clients(self) -> None:
        """Cut clients that ask nothing for a minute, such as those that lost power, or that never read."""
        while True:
            now_s = time.monotonic()
            for connection in list(self.active_connections.values()):
                if isinstance(connection, _Connection) and connection.hinders(now_s):
                    logger.warning(
                        "a client asks nothing for %.0f s or takes no answers, and is cut", _IDLE_S
                    )
                    connection.cut()
            await asyncio.sleep(_LOOK_S)


class _Connection(ServerRequestHandler):
    """Connection of one client."""

    def __init__(self, server: _Server, *, refused: bool) -> None:
        super().__init__(server, None, None, None)
        self._refused = refused
        self._heard_s = time.monotonic()

    def callback_connected(self) -> None:
        super().callback_connected()
        if self._refused:
            self.close()

    def callback_data(self, data: bytes, addr: tuple[Any, ...] | None = None) -> int:
        self._heard_s = time.monotonic()
        return int(super().callback_data(data, addr))

    def hinders(self, now_s: float) -> bool:
        """Return True if this client asks nothing, or takes no answers."""
        unread = self.transport.get_write_buffer_size() if self.transport else 0
        return now_s - self._heard_s > _IDLE_S or unread > _UNREAD_BYTES

    def cut(self) -> None:
        """End the connection without waiting for what the client has not taken."""
        if self.transport:
            self.transport.abort()
        self.close()


async def _require_free(address: tuple[str, int]) -> None:
    """Refuse an address that cannot be listened at, with its reason: pymodbus only says that there is one."""
    try:
        probe = await asyncio.get_running_loop().create_server(asyncio.Protocol, *address)
    except OSError as cause:
        raise _not_listening(address, str(cause.strerror or cause)) from cause
    probe.close()
    await probe.wait_closed()


def _not_listening(address: tuple[str, int], reason: str) -> UsageError:
    host, port = address
    low = "; ports below 1024 need CAP_NET_BIND_SERVICE, as in edgeflow-modbus.service" if port < 1024 else ""
    return UsageError(
        f"{host}:{port}: cannot be listened at: {reason}; end what uses it, or give another --listen{low}"
    )


def _two_words(number: int) -> tuple[int, int]:
    """Return a 32-bit number as two registers, the high word first."""
    number %= 2**32
    return number >> 16, number & 0xFFFF


def _part_number(part_id: str) -> int:
    """Return the last digits of a part id as a number; 0 where it has none."""
    found = _LAST_DIGITS.search(part_id)
    return int(found[1]) if found else 0
