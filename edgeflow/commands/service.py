"""Command service of one box: subscription, local socket, audit log and dispatcher."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgeflow.commands.audit_log import Audit, read_audit
from edgeflow.commands.control_socket import ControlSocket, Watch
from edgeflow.commands.dispatcher import AttributedOperation, CommandDispatcher, Operation
from edgeflow.commands.rules import MAX_COMMAND_BYTES, Rules
from edgeflow.config.box import BoxConfig
from edgeflow.contracts.topics import Topics
from edgeflow.mqtt.link import MqttLink
from edgeflow.mqtt.subscriptions import Incoming

__all__ = ["CommandInbox", "commanded", "receive_commands", "refused_path"]

_KNOWN_AGAIN = 5000  # records of earlier sessions that are read for ids of accepted commands
_EARLY = 16


def refused_path(audit: Path) -> Path:
    """Return the path of the log of refused commands, beside that of the accepted ones."""
    return audit.with_name(f"{audit.stem}.refused{audit.suffix}")


class CommandInbox:
    """Queue of commands that arrive before the box can carry them out, since its bundle is verified first."""

    def __init__(self) -> None:
        self._early: queue.Queue[Incoming] = queue.Queue(_EARLY)
        self._dispatcher: CommandDispatcher | None = None

    def receive(self, incoming: Incoming) -> None:
        """Queue a message from the network, or pass it on; never blocks."""
        if self._dispatcher is not None:
            self._dispatcher.receive(incoming)
            return
        with contextlib.suppress(queue.Full):
            self._early.put_nowait(incoming)

    def admit(self, dispatcher: CommandDispatcher | None) -> None:
        """Pass everything to this dispatcher from now on, early commands first; None discards it."""
        self._dispatcher = dispatcher
        with contextlib.suppress(queue.Empty):
            while dispatcher is not None:
                dispatcher.receive(self._early.get_nowait())


def receive_commands(link: MqttLink, config: BoxConfig) -> CommandInbox:
    """Subscribe to the commands of a box; call before the link starts."""
    early = CommandInbox()
    link.subscribe(
        Topics(root=config.topic_root).commands,
        early.receive,
        max_bytes=MAX_COMMAND_BYTES,
        report_larger=True,
    )
    return early


@contextmanager
def commanded(
    config: BoxConfig,
    rules: Rules,
    operations: Mapping[str, Operation | AttributedOperation],
    link: MqttLink,
    early: CommandInbox,
    status: Callable[[], dict[str, Any]],
    watch: Watch,
    follow: Watch | None = None,
) -> Iterator[None]:
    """Carry out commands while this context lasts.

    Args:
        operations: verb → what carries it out.
        watch: serves the live stream on the local socket.
        follow: serves decisions and results there, as they come.

    Raises:
        UsageError, StorageError: the control socket or the record of commands.
    """
    path = config.audit_path
    max_bytes = round(config.commands.audit_max_mb * 1e6)
    dispatcher = CommandDispatcher(
        rules,
        operations,
        link,
        audit=Audit(path, max_bytes),
        refused=Audit(refused_path(path), max_bytes),
        known=_known(read_audit(path, _KNOWN_AGAIN)),
    )
    control = ControlSocket(config.control_socket, dispatcher.local, status, watch, follow)
    dispatcher.start()
    control.start()
    early.admit(dispatcher)
    try:
        yield
    finally:
        early.admit(None)
        control.close()
        dispatcher.close()


def _known(records: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(r["issuer"], r["command_id"]) for r in records if {"issuer", "command_id"} <= r.keys()]
