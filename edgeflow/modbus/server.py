"""Modbus TCP server's process: follows the box, answers reads, refuses writes, ends with a signal."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from pymodbus.constants import ExcCodes
from pymodbus.pdu.device import ModbusDeviceIdentification
from pymodbus.server import ModbusTcpServer
from pymodbus.server.requesthandler import ServerRequestHandler
from pymodbus.simulator import DataType, SimData, SimDevice

from edgeflow import __version__
from edgeflow.commands.follow import follow
from edgeflow.config.box import BoxConfig, ModbusConfig
from edgeflow.config.units import host_and_port
from edgeflow.errors import UsageError
from edgeflow.modbus.connection import IDLE_S, Connection
from edgeflow.modbus.registers import Registers

__all__ = ["serve_modbus"]

logger = logging.getLogger(__name__)

_READS = (3, 4)
_LOOK_S = 0.5


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
    if not logger.isEnabledFor(logging.DEBUG):
        logging.getLogger("pymodbus.logging").setLevel(logging.ERROR)  # it tells of every odd request
    asyncio.run(_serve(config, section, address, ready))


async def _serve(
    config: BoxConfig, section: ModbusConfig, address: tuple[str, int], ready: Callable[[str], None]
) -> None:
    products = config.products or {}

    def valid_s(product: str | None) -> float:
        own = products[product].valid_ms if product in products else None
        return (own or config.decision.valid_ms) / 1000

    registers = Registers(valid_s, tuple(products))
    _require_free(address)
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
        about = {"VendorName": "edgeflow", "ProductCode": "edgeflow", "MajorMinorRevision": __version__}
        super().__init__(
            SimDevice(id=0, simdata=[data], action=answer),
            address=address,
            identity=ModbusDeviceIdentification(info_name=about),
        )
        self._clients = clients

    def callback_new_connection(self) -> ServerRequestHandler:
        full = len(self.active_connections) >= self._clients
        if full:
            logger.warning("a client is refused: %d are connected already (modbus.clients)", self._clients)
        return Connection(self, refused=full)

    async def cut_idle_clients(self) -> None:
        """Cut clients that ask nothing for a minute, such as those that lost power, or that never read."""
        while True:
            now_s = time.monotonic()
            for connection in list(self.active_connections.values()):
                if isinstance(connection, Connection) and connection.hinders(now_s):
                    logger.warning("a client asks nothing for %.0f s or takes no answers, and is cut", IDLE_S)
                    connection.cut()
            await asyncio.sleep(_LOOK_S)


def _require_free(address: tuple[str, int]) -> None:
    """Refuse an address that cannot be listened at, with its reason: pymodbus only says that there is one."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    try:
        socket.create_server(address, family=family).close()
    except OSError as cause:
        raise _not_listening(address, os.strerror(cause.errno) if cause.errno else str(cause)) from cause


def _not_listening(address: tuple[str, int], reason: str) -> UsageError:
    host, port = address
    low = ". Ports below 1024 need CAP_NET_BIND_SERVICE, as in edgeflow-modbus.service" if port < 1024 else ""
    return UsageError(
        f"{host}:{port}: cannot be listened at: {reason}; end what uses it, or give another --listen{low}"
    )
