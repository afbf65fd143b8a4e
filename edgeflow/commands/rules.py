"""Rules by which commands from the network are authorised. Pure; the clock is an argument."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import get_args

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edgeflow.contracts.commands import Command, Verb
from edgeflow.contracts.message_parts.trigger_fields import utc_form
from edgeflow.contracts.messages import from_json, plain_data
from edgeflow.contracts.sealing import is_sealed
from edgeflow.errors import DataError
from edgeflow.mqtt.subscriptions import Incoming

__all__ = ["MAX_COMMAND_BYTES", "Authorisation", "Issuer", "Rules", "authorise"]

MAX_COMMAND_BYTES = 8192
_VERBS: tuple[str, ...] = get_args(Verb)


@dataclass(frozen=True, kw_only=True)
class Issuer:
    """One issuer: the key that verifies its signature, and the commands that it may give."""

    key: bytes | Ed25519PublicKey
    allow: tuple[Verb, ...]


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Rules of one box.

    Attributes:
        box: its topic root.
        issuers: None where the broker's rights alone decide who may command.
    """

    box: str
    session: str
    allow: tuple[Verb, ...]
    issuers: Mapping[str, Issuer] | None
    max_age_s: float


@dataclass(frozen=True, kw_only=True)
class Authorisation:
    """Result for one message: a command to carry out where ``refusal`` is empty.

    Attributes:
        verb: from the topic.
        reply_to: where the reply goes.
    """

    verb: str
    refusal: str
    reply_to: str
    command: Command | None = None


def authorise(
    incoming: Incoming, rules: Rules, is_known: Callable[[Command], bool], now: datetime
) -> Authorisation:
    """Authorise one message, or say why it is refused.

    Args:
        is_known: whether a command with this issuer and id was accepted before.
        now: aware, UTC.
    """
    verb = incoming.topic.rpartition("/")[2]
    own = f"{rules.box}/rsp/{verb}"
    wanted = incoming.response_topic
    # The box must not be made to write elsewhere, on its own decisions least of all.
    foreign = bool(wanted) and not (
        wanted.startswith(f"{rules.box}/rsp/") and not set(wanted) & set("+#\x00")
    )
    reply_to = own if foreign or not wanted else wanted
    refusal = _unread(incoming, verb) or (
        f"response topic {wanted[:200]!r}: not below {rules.box}/rsp/" if foreign else ""
    )
    if refusal:
        return Authorisation(verb=verb, refusal=refusal, reply_to=reply_to)
    try:
        command = from_json(Command, incoming.payload)
    except DataError as cause:
        problems = "; ".join(cause.problems[:3]) or cause.message
        return Authorisation(verb=verb, refusal=f"not a command: {problems}", reply_to=reply_to)
    refusal = (
        _misdirected(command, verb, rules)
        or _unauthorised(command, incoming.payload, rules)
        or _untimely(command, rules, is_known, now)
    )
    return Authorisation(verb=verb, refusal=refusal, reply_to=reply_to, command=command)


def _unread(incoming: Incoming, verb: str) -> str:
    """Return why a message is refused before its payload is read; empty where it is not."""
    if incoming.retained:
        return "retained: of unknown age, and would come again at every connection; publish without retain"
    size = max(incoming.size, len(incoming.payload))
    if size > MAX_COMMAND_BYTES:
        return f"{size} bytes, more than {MAX_COMMAND_BYTES}"
    if verb not in _VERBS:
        return f"no such command; there are: {', '.join(_VERBS)}"
    return ""


def _misdirected(command: Command, verb: str, rules: Rules) -> str:
    if command.box != rules.box:
        return f"for {command.box!r}; this is {rules.box}"
    if command.verb != verb:
        return f"says '{command.verb}' on the topic of '{verb}'"
    if command.session not in (None, rules.session):
        return f"for session {command.session}; this is {rules.session}: the box has started anew"
    return ""


def _unauthorised(command: Command, payload: bytes, rules: Rules) -> str:
    allow = rules.allow
    if rules.issuers is not None:
        issuer = rules.issuers.get(command.issuer)
        if issuer is None or not is_sealed(plain_data(Command, payload), issuer.key):
            # The same words for both, so that nobody learns names by trying.
            return "not signed by an issuer that this box knows (commands.issuers)"
        allow = issuer.allow
    if command.verb not in allow:
        return (
            f"'{command.verb}' is not allowed over MQTT here (commands.allow: {', '.join(allow) or 'none'})"
        )
    return ""


def _untimely(command: Command, rules: Rules, is_known: Callable[[Command], bool], now: datetime) -> str:
    issued_at = utc_form(command.issued_at)
    if issued_at is None:
        return f"issued_at {command.issued_at}: no such date"
    fraction = issued_at[20:26].rstrip("Z").ljust(6, "0")
    issued = datetime.fromisoformat(f"{issued_at[:20]}{fraction}").replace(tzinfo=UTC)
    age_s = (now - issued).total_seconds()
    if abs(age_s) > rules.max_age_s:
        when = "ago" if age_s > 0 else "in the future"
        return (
            f"issued {abs(age_s):.0f} s {when}, more than {rules.max_age_s:g} s (commands.max_age_s); "
            "compare both clocks"
        )
    if is_known(command):
        return f"command {command.command_id} has come before; it is carried out once"
    return ""
