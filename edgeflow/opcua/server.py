"""The server's process: builds the nodes, follows the box, ends with SIGTERM or Ctrl+C."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import gc
import logging
import os
import resource
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asyncua import Server, ua

from edgeflow import __version__
from edgeflow.commands.follow import follow
from edgeflow.errors import UsageError
from edgeflow.opcua.address_space import AddressSpace, make_address_space
from edgeflow.opcua.clients.access import Access
from edgeflow.opcua.clients.certificates import own_certificate
from edgeflow.opcua.clients.cuts import cut_clients_that_lost_trust, cut_clients_that_never_read
from edgeflow.opcua.clients.log_limit import limit_log
from edgeflow.opcua.clients.sessions import BoundedServer
from edgeflow.opcua.clients.trust_list import TrustList
from edgeflow.opcua.methods import BoxMethods
from edgeflow.opcua.results import Results
from edgeflow.opcua.settings import ServerSettings
from edgeflow.opcua.soft_triggers import SoftTriggers
from edgeflow.opcua.state_machine import StateMachine
from edgeflow.opcua.variables import Inspection

__all__ = ["serve_opcua"]

logger = logging.getLogger(__name__)

_POLICIES = (
    ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
    ua.SecurityPolicyType.Aes128Sha256RsaOaep_SignAndEncrypt,
    ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
)
_MEMORY_BYTES = 1 << 30
_LARGEST_MESSAGE = 1 << 20


def serve_opcua(settings: ServerSettings, ready: Callable[[str], None]) -> None:
    """Serve until a signal ends it.

    Args:
        ready: called with the server's address once it listens.

    Raises:
        UsageError: the address cannot be listened at, or the server's certificate has ended.
        StorageError: the folder of certificates cannot be read or written.
    """
    _bound_memory()
    if not logger.isEnabledFor(logging.DEBUG):
        logging.getLogger("asyncua").setLevel(logging.WARNING)  # it tells of every node and request
        limit_log()
    asyncio.run(_serve(settings, ready))


async def _serve(settings: ServerSettings, ready: Callable[[str], None]) -> None:
    _require_free(settings)
    own = own_certificate(settings.folder, settings.application_uri, settings.names, dt.datetime.now(dt.UTC))
    access = Access(
        users=settings.users,
        trust=TrustList(settings.folder),
        anonymous=settings.section.anonymous,
    )
    bounded = BoundedServer(access, settings.section.clients)
    server = Server(iserver=bounded)
    server.limits.max_message_size = _LARGEST_MESSAGE
    await server.init()
    await server.set_application_uri(settings.application_uri)
    await server.set_build_info(
        "urn:edgeflow", "edgeflow", "edgeflow", __version__, "0", dt.datetime.now(dt.UTC)
    )
    server.set_server_name(f"edgeflow {settings.box.device_name}")
    server.application_type = ua.ApplicationType.Server
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    server.set_endpoint(f"opc.tcp://{host}:{settings.port}")
    server.socket_address = (settings.host, settings.port)
    server.set_security_policy(list(_POLICIES))
    await server.load_certificate(own.certificate)
    await server.load_private_key(own.key)
    with _without_collections():
        space = await make_address_space(server)
    triggers = SoftTriggers(settings.box) if SoftTriggers.fit(settings.box) else None
    mirror = await _mirror(settings, space, bounded, triggers)
    if triggers is not None:
        triggers.start()
    await server.start()
    try:
        ready(f"opc.tcp://{host}:{server.bserver.port if server.bserver else settings.port}")
        await _until_a_signal(
            mirror.follow(settings.box.control_socket),
            cut_clients_that_never_read(bounded),
            cut_clients_that_lost_trust(server, access),
        )
    finally:
        if triggers is not None:
            triggers.stop()
        await server.stop()


async def _mirror(
    settings: ServerSettings, space: AddressSpace, bounded: BoundedServer, triggers: SoftTriggers | None
) -> _Mirror:
    inspection = Inspection(space)
    folder = await inspection.make()
    results = Results(space, settings.section.results)
    await results.make()
    mirror = _Mirror(inspection=inspection, results=results, states=StateMachine(space))
    await mirror.states.follow(None)
    methods = BoxMethods(
        config=settings.box,
        space=space,
        results=results,
        product=lambda: str(mirror.state.get("product") or ""),
        bundle=lambda: str(mirror.state.get("recipe") or ""),
        inspecting=mirror.inspecting,
        triggers=triggers,
    )
    await methods.link(bounded, folder)
    return mirror


@dataclass
class _Mirror:
    """The box as clients see it, kept up with the box's stream.

    Attributes:
        state: latest state of the box; empty while it does not answer.
    """

    inspection: Inspection
    results: Results
    states: StateMachine
    state: Mapping[str, Any] = field(default_factory=dict)

    def inspecting(self) -> str:
        """Return the box's session while it inspects parts; empty otherwise."""
        runs = self.state.get("state") == "ContinuousExecution"
        return str(self.state["session"]) if runs else ""

    async def follow(self, path: Path) -> None:
        """Follow the box behind a socket for ever; an item that is not understood costs only itself."""
        async for item in follow(path):
            try:
                await self._take(item)
            except Exception:  # of a box of another version
                logger.exception("a line of the box was not understood")

    async def _take(self, item: Mapping[str, Any]) -> None:
        kind = item["kind"]
        if kind == "decision":
            await self.inspection.decided(item["decision"])
        elif kind == "result":
            await self.inspection.finished(item["result"])
            await self.results.finished(item["result"])
        elif kind in ("hello", "state"):
            if kind == "hello":
                logger.info("connected to the box")
                self.results.restore(item["results"])
            self.state = item["state"]
            await self.inspection.state(self.state)
            await self.states.follow(self.state["state"])
        elif kind == "lost":
            logger.warning("%s", item["problem"])
            halted = self.state.get("state") == "Halted"
            self.state = {}
            await self.inspection.lost(item["problem"])
            if not halted:
                await self.states.follow(None)
        elif kind == "dropped":
            logger.warning(
                "%d decisions or results came faster than this server could take them", item["count"]
            )


async def _until_a_signal(*works: Any) -> None:
    """Run works until a signal, or until one of them fails."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    tasks = [asyncio.create_task(work) for work in works]
    end = asyncio.create_task(ended.wait())
    try:
        done, _ = await asyncio.wait([*tasks, end], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (*tasks, end):
            task.cancel()
        await asyncio.gather(*tasks, end, return_exceptions=True)


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    """Let the garbage collector leave alone what is made within, now and for ever.

    The nodes are half a million objects that stay to the end. A look at all of them takes a processor for 0.2
    s or more, again and again while they are made, and later at any moment beside the line.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _require_free(settings: ServerSettings) -> None:
    """Refuse an address that cannot be listened at before the nodes are made, which takes seconds."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        socket.create_server((settings.host, settings.port), family=family).close()
    except OSError as cause:
        reason = os.strerror(cause.errno) if cause.errno else cause
        raise UsageError(
            f"{settings.host}:{settings.port}: cannot be listened at: {reason}; end what uses it, or give "
            "another --listen"
        ) from cause


def _bound_memory() -> None:
    """Let this process fail before it takes the box's memory, and be the first that the kernel ends."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = _MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(_MEMORY_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
