"""State of a watched line: messages in, rows and counts out; no input or output of its own."""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass, replace

from edgeflow.contracts.messages import Alarm, Decision, Message, Result, State, VerdictName, from_json
from edgeflow.errors import DataError

__all__ = [
    "DEFAULT_ROOT",
    "Board",
    "Part",
    "Seen",
    "Station",
    "alarm_text",
    "json_line",
    "plain_line",
    "read_message",
]

DEFAULT_ROOT = "edgeflow/v1"
"""Left out of the names of stations, for brevity."""

_MESSAGES: dict[str, type[Message]] = {
    "decision": Decision,
    "result": Result,
    "state": State,
    "alarm": Alarm,
}
_AVAILABILITY = ("online", "offline", "stopped")
_REMEMBERED = 10_000  # results known by id, so that a replayed one is not counted twice


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One message of interest.

    Attributes:
        kind: ``decision``, ``result``, ``state``, ``availability`` or ``alarm``.
        message: the decision, result, state or alarm; None for availability, for an alarm that is over,
            and for what is malformed.
        text: the payload as text, safe to print.
        problem: why the payload is malformed; empty otherwise.
    """

    topic: str
    station: str
    kind: str
    message: Message | None
    text: str
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One inspected part; what only the full result tells is None until it has come."""

    result_id: str
    time: str
    station: str
    part_id: str
    verdict: VerdictName
    reason: str
    score: float | None = None
    worst_view: str | None = None
    latency_ms: float | None = None
    replayed: bool = False


@dataclass(frozen=True, kw_only=True)
class Station:
    """One box, as its retained topics describe it."""

    availability: str = "?"
    state: str = "?"
    detail: str = ""
    alarms: tuple[Alarm, ...] = ()


class Board:
    """Rows and counts over all messages seen.

    Args:
        rows: how many parts to keep for display.
    """

    def __init__(self, rows: int = 20) -> None:
        self._rows = rows
        self._parts: OrderedDict[str, Part] = OrderedDict()
        self._stations: dict[str, Station] = {}
        self._counts: dict[VerdictName, int] = {"OK": 0, "NG": 0, "UNDECIDED": 0}
        self._results = 0
        self._malformed: Seen | None = None

    @property
    def parts(self) -> tuple[Part, ...]:
        """The latest parts, newest first."""
        return tuple(reversed(self._parts.values()))[: self._rows]

    @property
    def stations(self) -> dict[str, Station]:
        """Name → station, in the order of their appearance."""
        return dict(self._stations)

    @property
    def counts(self) -> dict[VerdictName, int]:
        """Parts per verdict; a part counts once, however often its messages come."""
        return dict(self._counts)

    @property
    def results(self) -> int:
        """Result messages seen, copies included."""
        return self._results

    @property
    def malformed(self) -> Seen | None:
        """The latest message that was not what its topic promises."""
        return self._malformed

    def add(self, seen: Seen) -> None:
        """Take in one message."""
        station = self._stations.get(seen.station, Station())
        if seen.problem:
            self._malformed = seen
        elif seen.kind == "availability":
            station = replace(station, availability=seen.text)
        elif isinstance(seen.message, State):
            detail = _printable(seen.message.detail)
            station = replace(station, state=seen.message.state, detail=detail)
        elif seen.kind == "alarm":
            station = replace(station, alarms=_with_alarm(station.alarms, seen))
        elif isinstance(seen.message, Decision | Result):
            self._results += seen.kind == "result"
            self._add_part(_part(seen.station, seen.message))
        self._stations[seen.station] = station

    def _add_part(self, part: Part) -> None:
        known = self._parts.get(part.result_id)
        if known is None:
            self._counts[part.verdict] += 1
        if known is None or part.latency_ms is not None:  # a late decision does not hide its result
            self._parts[part.result_id] = part
        while len(self._parts) > _REMEMBERED:
            self._parts.popitem(last=False)


def read_message(topic: str, payload: bytes) -> Seen | None:
    """Read one message; None for topics of no interest. Never raises."""
    name, _, kind = topic.rpartition("/")
    if name.endswith("/alarm"):
        name, kind = name.removesuffix("/alarm"), "alarm"
    station = _printable(name.removeprefix(f"{DEFAULT_ROOT}/"))
    text = _printable(payload.decode("utf-8", "replace"))
    if kind == "availability":
        problem = "" if text in _AVAILABILITY else f"not one of {', '.join(_AVAILABILITY)}"
        return Seen(topic=topic, station=station, kind=kind, message=None, text=text, problem=problem)
    if kind not in _MESSAGES:
        return None
    if kind == "alarm" and not payload:
        return Seen(topic=topic, station=station, kind=kind, message=None, text="")
    try:
        message = from_json(_MESSAGES[kind], payload)
    except DataError as cause:
        why = _printable(cause.problems[0] if cause.problems else cause.message)
        return Seen(topic=topic, station=station, kind=kind, message=None, text=text, problem=why)
    return Seen(topic=topic, station=station, kind=kind, message=message, text=text)


def plain_line(seen: Seen) -> str:
    """One line of text for a message."""
    head = f"{seen.kind:12} {seen.station}"
    if seen.problem:
        return f"{head}  malformed: {seen.problem}: {seen.text[:200]}"
    if isinstance(seen.message, State):
        return f"{head}  {seen.message.state}: {_printable(seen.message.detail)}"
    if isinstance(seen.message, Alarm):
        return f"{head}  {alarm_text(seen.message)}"
    if seen.kind == "alarm":
        return f"{head}  {_printable(_alarm_name(seen.topic))} over"
    if isinstance(seen.message, Decision | Result):
        return f"{head}  {_part_text(_part(seen.station, seen.message))}"
    return f"{head}  {seen.text}"


def alarm_text(alarm: Alarm) -> str:
    """An alarm in one line."""
    return _printable(f"{alarm.severity} {alarm.name} since {alarm.since[:19]}Z: {alarm.text}")


def json_line(seen: Seen) -> str:
    """One line of JSON for a message: topic, station, kind, payload; a problem where malformed."""
    payload = seen.message.model_dump(mode="json", by_alias=True) if seen.message else seen.text
    line = {"topic": seen.topic, "station": seen.station, "kind": seen.kind, "payload": payload}
    return json.dumps(line | ({"problem": seen.problem} if seen.problem else {}))


def _with_alarm(alarms: tuple[Alarm, ...], seen: Seen) -> tuple[Alarm, ...]:
    """Alarms after one was raised, changed or cleared; the topic says which."""
    others = tuple(alarm for alarm in alarms if alarm.name != _alarm_name(seen.topic))
    return (*others, seen.message) if isinstance(seen.message, Alarm) else others


def _alarm_name(topic: str) -> str:
    return topic.rpartition("/")[2]


def _part(station: str, message: Decision | Result) -> Part:
    part = Part(
        result_id=message.result_id,
        time=message.acquired_at[11:23],
        station=station,
        part_id=_printable(message.part_id),
        verdict=message.verdict,
        reason=_printable(message.reason),
    )
    if isinstance(message, Decision):
        return part
    scored = [view for view in message.views if view.score is not None]
    worst = max(scored, key=lambda view: view.score or 0.0, default=None)
    return replace(
        part,
        score=message.score,
        worst_view=_printable(worst.id) if worst else None,
        latency_ms=message.deadline.decided_after_ms,
        replayed=message.replayed,
    )


def _part_text(part: Part) -> str:
    text = f"{part.time} {part.part_id} {part.verdict}"
    if part.latency_ms is not None:
        score = "-" if part.score is None else f"{part.score:.3f}"
        text += f" score {score} worst {part.worst_view or '-'} {part.latency_ms:.0f} ms"
        text += " replayed" if part.replayed else ""
    return f"{text} ({part.reason})" if part.reason else text


def _printable(text: str) -> str:
    """Without control characters: what comes over the network must not steer the terminal."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
