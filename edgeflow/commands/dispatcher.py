"""Command dispatcher: authorises, records, carries out and answers commands, one at a time."""

from __future__ import annotations

import logging
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from edgeflow.clock import utc_now, utc_text
from edgeflow.commands.audit_log import Audit
from edgeflow.commands.rules import Authorisation, Rules, authorise
from edgeflow.contracts.commands import Command, Outcome, Reply
from edgeflow.errors import EdgeflowError, StorageError, UsageError
from edgeflow.mqtt.subscriptions import Incoming
from edgeflow.thread_activity import waiting, working

__all__ = ["Answer", "AttributedOperation", "CommandDispatcher", "LocalCommand", "Operation"]

logger = logging.getLogger(__name__)

Operation = Callable[[Mapping[str, str]], str]
"""Carries out one verb with its arguments; returns a text for the reply, raises EdgeflowError on failure."""


@dataclass(frozen=True, kw_only=True)
class AttributedOperation:
    """An operation that records who asked for it.

    Attributes:
        carry_out: with the arguments, who commands, and ``mqtt`` or ``local``.
    """

    carry_out: Callable[[Mapping[str, str], str, Literal["mqtt", "local"]], str]


_WAITING = 16  # commands; more at once are an attack or a mistake, and are dropped and counted
_REMEMBERED = 10_000
_STOP_S = 2.0
_SILENT_S = 600.0  # the verification of a new bundle takes longest; what takes more hangs


class _Replies(Protocol):
    def publish_reply(self, topic: str, reply: Reply, correlation: bytes) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A reply with the exit code for a shell; 0 where the command was carried out."""

    reply: Reply
    exit_code: int


@dataclass(frozen=True, kw_only=True)
class LocalCommand:
    """A command from this computer; every user who may open the socket may command.

    Attributes:
        who: for the audit.
    """

    verb: str
    arguments: Mapping[str, str]
    who: str
    answer: Future[Answer]


class CommandDispatcher:
    """Authorises, records, carries out and answers commands in a thread of its own.

    What is refused is recorded apart from what is carried out, so that a flood of the former cannot
    push the latter out of the record.

    Args:
        known: issuer and id of commands that earlier sessions accepted.
    """

    def __init__(
        self,
        rules: Rules,
        operations: Mapping[str, Operation | AttributedOperation],
        replies: _Replies,
        *,
        audit: Audit,
        refused: Audit,
        known: list[tuple[str, str]],
    ) -> None:
        self._rules = rules
        self._operations = operations
        self._replies = replies
        self._audit = audit
        self._refused = refused
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict.fromkeys(known)
        self._inbox: queue.Queue[Incoming | LocalCommand | None] = queue.Queue(_WAITING)
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="commands", daemon=True)

    def start(self) -> None:
        """Start the thread; return at once."""
        self._thread.start()

    def close(self) -> None:
        """Finish the present command within 2 s; commands that wait are not carried out."""
        try:
            self._inbox.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(_STOP_S)

    def receive(self, incoming: Incoming) -> None:
        """Queue a message from the network; never blocks."""
        try:
            self._inbox.put_nowait(incoming)
        except queue.Full:
            self._dropped += 1

    def local(self, verb: str, arguments: Mapping[str, str], who: str, timeout_s: float) -> Answer:
        """Carry out a command from this computer, and wait for its answer.

        Raises:
            TimeoutError: it is still waiting or being carried out.
        """
        answer: Future[Answer] = Future()
        command = LocalCommand(verb=verb, arguments=arguments, who=who, answer=answer)
        try:
            self._inbox.put(command, timeout=timeout_s)
        except queue.Full:
            raise TimeoutError from None
        return answer.result(timeout_s)

    def _run(self) -> None:
        while (item := self._next()) is not None:
            working(_SILENT_S)
            try:
                if isinstance(item, LocalCommand):
                    item.answer.set_result(self._from_here(item))
                else:
                    self._from_network(item)
            except Exception:  # one odd command must not end all others
                logger.exception("a command failed unexpectedly")
                if isinstance(item, LocalCommand) and not item.answer.done():
                    text = "failed unexpectedly; see the box's log"
                    item.answer.set_result(self._answer(item.verb, None, "failed", text, 1))

    def _next(self) -> Incoming | LocalCommand | None:
        waiting()
        return self._inbox.get()

    def _from_here(self, command: LocalCommand) -> Answer:
        record = {"source": command.who, "verb": command.verb, "arguments": dict(command.arguments)}
        try:
            self._write(self._audit, record, "accepted", "")
        except StorageError as cause:
            logger.error("a local command is carried out without a record: %s", cause)
        return self._carry_out(command.verb, command.arguments, None, record)

    def _from_network(self, incoming: Incoming) -> None:
        found = authorise(incoming, self._rules, self._is_known, utc_now())
        command = found.command
        record: dict[str, Any] = {"source": "mqtt", "topic": incoming.topic, "bytes": incoming.size}
        if command is not None:
            record |= command.model_dump(include={"issuer", "command_id", "verb", "arguments"})
        if found.refusal or command is None:
            self._refuse(incoming, found, record)
            return
        try:
            self._write(self._audit, record, "accepted", "")  # before: also a crash does not repeat it
        except StorageError as cause:
            unrecorded = f"not carried out, since it cannot be recorded: {cause.message}"
            answer = self._answer(command.verb, command, "failed", unrecorded, cause.exit_code)
        else:
            self._known[command.issuer, command.command_id] = None
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
            answer = self._carry_out(command.verb, command.arguments, command, record)
        self._replies.publish_reply(found.reply_to, answer.reply, incoming.correlation)

    def _refuse(self, incoming: Incoming, found: Authorisation, record: dict[str, Any]) -> None:
        dropped, self._dropped = self._dropped, 0
        if dropped:
            record["dropped_unread"] = dropped
        logger.warning("%s: refused: %s", incoming.topic[:200], found.refusal)
        try:
            self._write(self._refused, record, "refused", found.refusal)
        except StorageError as cause:
            logger.error("a refused command is not recorded: %s", cause)
        answer = self._answer(found.verb[:64], found.command, "refused", found.refusal, 2)
        self._replies.publish_reply(found.reply_to, answer.reply, incoming.correlation)

    def _carry_out(
        self, verb: str, arguments: Mapping[str, str], command: Command | None, record: dict[str, Any]
    ) -> Answer:
        outcome: Outcome = "done"
        code = 0
        try:
            operation = self._operations.get(verb)
            if operation is None:
                raise UsageError(f"no such command: {verb}; there are: {', '.join(self._operations)}")
            text = _carried_out(operation, arguments, command, str(record["source"]))
        except EdgeflowError as cause:
            outcome = "refused" if isinstance(cause, UsageError) else "failed"
            text, code = "; ".join([cause.message, *cause.problems]), cause.exit_code
        fields = {"event": "command", "verb": verb, "outcome": outcome}
        logger.warning("command %s: %s: %s", verb, outcome, text, extra=fields)
        try:
            self._write(self._audit, record, outcome, text)
        except StorageError as cause:
            logger.error("the outcome of %s is not recorded: %s", verb, cause)
        return self._answer(verb, command, outcome, text, code)

    def _answer(self, verb: str, command: Command | None, outcome: Outcome, text: str, code: int) -> Answer:
        reply = Reply(
            session=self._rules.session,
            command_id=command.command_id if command else None,
            verb=verb,
            outcome=outcome,
            text=text,
            correlation=command.correlation if command else None,
            at=utc_text(),
        )
        return Answer(reply=reply, exit_code=code)

    def _write(self, audit: Audit, record: Mapping[str, Any], outcome: str, text: str) -> None:
        audit.write(
            {"at": utc_text(), "session": self._rules.session, **record, "outcome": outcome, "text": text}
        )

    def _is_known(self, command: Command) -> bool:
        return (command.issuer, command.command_id) in self._known


def _carried_out(
    operation: Operation | AttributedOperation,
    arguments: Mapping[str, str],
    command: Command | None,
    source: str,
) -> str:
    if not isinstance(operation, AttributedOperation):
        return operation(arguments)
    if command is None:
        return operation.carry_out(arguments, source, "local")
    return operation.carry_out(arguments, command.issuer, "mqtt")
