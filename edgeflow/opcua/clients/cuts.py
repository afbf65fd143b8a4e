"""Connections that the server ends by itself: clients that never read, and clients that lost their trust."""

from __future__ import annotations

import asyncio
import logging
import time

from asyncua import Server
from asyncua.server.internal_server import InternalServer

from edgeflow.opcua.clients.access import Access

__all__ = ["cut_clients_that_lost_trust", "cut_clients_that_never_read"]

logger = logging.getLogger(__name__)

_UNREAD_BYTES = 2 * 2**20
_LOOK_S = 0.5
_TRUST_S = 2.0  # between two looks at the folders of certificates
_ENDS_S = 60.0  # certificates end without any change of a file


async def cut_clients_that_never_read(server: InternalServer) -> None:
    """Cut connections whose answers pile up: asyncua writes without asking whether anybody reads."""
    while True:
        for transport in list(server.asyncio_transports):
            unread = transport.get_write_buffer_size()
            if unread > _UNREAD_BYTES:
                peer = transport.get_extra_info("peername")
                logger.warning("client %s takes no answers (%d bytes wait) and is cut", peer, unread)
                transport.abort()
        await asyncio.sleep(_LOOK_S)


async def cut_clients_that_lost_trust(server: Server, access: Access) -> None:
    """Cut connected clients whose certificate was revoked or removed, or has ended meanwhile."""
    known, looked_s = access.trust.state(), time.monotonic()
    while True:
        await asyncio.sleep(_TRUST_S)
        state = access.trust.state()
        if state == known and time.monotonic() - looked_s < _ENDS_S:
            continue
        known, looked_s = state, time.monotonic()
        for protocol in list(server.bserver.clients) if server.bserver else ():
            processor, transport = protocol.processor, protocol.transport
            policy = processor._connection.security_policy if processor is not None else None  # noqa: SLF001
            if transport is not None and not access.may_stay(getattr(policy, "peer_certificate", None)):
                logger.warning(
                    "client %s is cut: its certificate is not accepted any more", protocol.peer_name
                )
                transport.abort()
