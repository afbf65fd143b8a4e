"""``edgeflow monitor``: connects to the broker and shows what arrives; it never acknowledges results."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import click
import paho.mqtt.client as paho
from paho.mqtt.reasoncodes import ReasonCode
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edgeflow.cli.options import FILE, json_option
from edgeflow.cli.terminal.monitor_board import (
    DEFAULT_ROOT,
    Board,
    Part,
    Seen,
    alarm_text,
    json_line,
    plain_line,
    read_message,
)
from edgeflow.errors import ConfigError, HardwareError
from edgeflow.mqtt.broker.answers import closed_early, no_mqtt, refusal
from edgeflow.mqtt.broker.login import LOGIN_SETTINGS, PASSWORD_VARIABLE, BrokerUrl, Login, parse_url
from edgeflow.mqtt.client import connect_failure

__all__ = ["PASSWORD_VARIABLE", "BrokerUrl", "monitor", "parse_url", "render", "run_monitor"]

logger = logging.getLogger(__name__)

_TICK_S = 0.25
_ANSWER_TIMEOUT_S = 5.0
_RETRY_S = 1.0
_COLOURS = {"OK": "green", "NG": "bold red", "UNDECIDED": "yellow"}


@dataclass(kw_only=True)
class _Stop:
    requested: bool = False


@click.command()
@click.argument("url", default="mqtt://127.0.0.1:1883")
@click.option("--topic", default=f"{DEFAULT_ROOT}/#", show_default=True, help="Topics to watch.")
@click.option("-n", "--count", type=click.IntRange(min=1), help="Stop after this many results.")
@click.option("--username", help="The broker's user; default: the one in the URL.")
@click.option("--password-file", type=FILE, help="Holds the password; or set EDGEFLOW_MQTT_PASSWORD.")
@click.option("--ca", type=FILE, help="Certificate authority of the broker; default: the system's.")
@click.option("--cert", type=FILE, help="The client's certificate, with --key.")
@click.option("--key", type=FILE, help="The certificate's private key.")
@json_option
def monitor(url: str, topic: str, count: int | None, json_output: bool, **login: Any) -> None:
    """Show decisions and results from the broker at URL as a live table."""
    run_monitor(url, topic=topic, as_json=json_output, count=count, **login)


def run_monitor(
    url: str,
    *,
    topic: str = f"{DEFAULT_ROOT}/#",
    username: str | None = None,
    password_file: Path | None = None,
    ca: Path | None = None,
    cert: Path | None = None,
    key: Path | None = None,
    as_json: bool = False,
    count: int | None = None,
) -> None:
    """Show decisions, results, states and availability until Ctrl-C, SIGTERM or ``count`` results.

    A table on a terminal; else, or with ``as_json``, one line per message.

    Args:
        url: see :func:`parse_url`.
        topic: topics to watch; one without wildcards means all below it.
        username, password_file, ca, cert, key: see :class:`Login`.

    Raises:
        ConfigError: the URL, the topic, the credentials, the rights or a file.
        HardwareError: the broker cannot be reached.
    """
    login = Login(
        url=parse_url(url), username=username, password_file=password_file, ca=ca, cert=cert, key=key
    )
    topic_filter = _topic_filter(topic)
    board = Board()
    with _stopped_by_signals() as stop, _display(board, as_json=as_json) as show:
        for seen in _Watcher(login, topic_filter).messages(stop):
            if seen is not None:
                board.add(seen)
            show(seen)
            if count is not None and board.results >= count:
                return


def _topic_filter(topic: str) -> str:
    levels = topic.split("/")
    misplaced = "#" in levels[:-1] or any(len(level) > 1 and set(level) & set("+#") for level in levels)
    if not topic or misplaced or "\x00" in topic:
        raise ConfigError(
            f"{topic!r}: not a topic to watch; '+' stands for one whole level, '#' for the rest at the end"
        )
    return topic if set(topic) & set("+#") else f"{topic.rstrip('/')}/#"


def render(board: Board) -> Group:
    """The board as a header and a table."""
    header = Text()
    for name, status in board.stations.items():
        header.append(f"{name}: {status.availability}, {status.state} {status.detail}\n")
        for alarm in status.alarms:
            header.append(f"  {alarm_text(alarm)}\n", style="red" if alarm.severity == "error" else "yellow")
    for verdict, number in board.counts.items():
        header.append(f"{verdict} {number}   ", style=_COLOURS[verdict])
    if board.malformed:
        header.append(f"\nmalformed: {board.malformed.topic}: {board.malformed.problem}", style="magenta")
    several = len(board.stations) > 1
    table = Table(
        "time", *(["station"] if several else []), "part", "verdict", "score", "worst view", "ms", ""
    )
    for part in board.parts:
        table.add_row(*_cells(part, station=several))
    return Group(header, table)


def _cells(part: Part, *, station: bool) -> tuple[Text, ...]:
    score = "" if part.score is None else f"{part.score:.3f}"
    latency = "" if part.latency_ms is None else f"{part.latency_ms:.0f}"
    return (
        Text(part.time[:8], no_wrap=True),
        *([Text(part.station)] if station else []),
        Text(part.part_id),
        Text(part.verdict, style=_COLOURS[part.verdict]),
        Text(score, justify="right"),
        Text(part.worst_view or ""),
        Text(latency, justify="right"),
        Text("replayed" if part.replayed else ""),
    )


@contextlib.contextmanager
def _display(board: Board, *, as_json: bool) -> Iterator[Callable[[Seen | None], None]]:
    """A function that shows one message, or a tick (None)."""
    console = Console()
    if as_json or not console.is_terminal:
        to_line = json_line if as_json else plain_line
        with _closed_pipe_is_an_end():
            yield lambda seen: print(to_line(seen), flush=True) if seen else None
        return
    with Live(render(board), console=console, auto_refresh=False) as live:
        yield lambda seen: None if seen else live.update(render(board), refresh=True)


@contextlib.contextmanager
def _closed_pipe_is_an_end() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        # The reader has gone, as with `| head`; keep Python from complaining when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[_Stop]:
    """SIGINT and SIGTERM as a request; handlers can be set in the main thread only."""
    stop = _Stop()

    def request(_number: int, _frame: Any) -> None:
        stop.requested = True

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Watcher:
    """Messages below a topic filter, over as many connections as it takes; the first one must succeed."""

    def __init__(self, login: Login, topic_filter: str) -> None:
        self._login = login
        self._address = login.url
        self._filter = topic_filter
        self._inbox: deque[Seen] = deque()
        self._subscribed = False
        self._watched = False
        self._refusal = ""

    def messages(self, stop: _Stop) -> Iterator[Seen | None]:
        """Messages as they come, and None at least every quarter of a second."""
        while True:
            yield from self._one_connection(stop)
            if stop.requested:
                return
            logger.warning("%s: connection lost; trying again", self._address)
            time.sleep(_RETRY_S)
            yield None

    def _one_connection(self, stop: _Stop) -> Iterator[Seen | None]:
        try:
            client = self._connect()
        except (OSError, ValueError) as cause:
            if self._watched:
                return
            raise HardwareError(f"{self._address}: {connect_failure(cause, LOGIN_SETTINGS)}") from cause
        answer_by = time.monotonic() + _ANSWER_TIMEOUT_S
        while not stop.requested and client.loop(_TICK_S) == paho.MQTT_ERR_SUCCESS and not self._refusal:
            self._watched = self._watched or self._subscribed
            if not self._subscribed and time.monotonic() > answer_by:
                break
            while self._inbox:
                yield self._inbox.popleft()
            yield None
        if not self._watched and not stop.requested:
            self._give_up()

    def _connect(self) -> paho.Client:
        self._subscribed, self._refusal, self._closed = False, "", False
        address = self._address
        client = self._login.client("")
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        client.connect(address.host, address.port, keepalive=10)
        return client

    def _on_connect(
        self, client: paho.Client, _userdata: Any, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        if reason.is_failure:
            self._refusal = refusal(reason, LOGIN_SETTINGS)
        else:
            client.subscribe(self._filter, qos=1)

    def _on_disconnect(self, *_: Any) -> None:
        self._closed = True

    def _on_subscribe(
        self, _client: paho.Client, _userdata: Any, _id: int, reasons: list[ReasonCode], _properties: Any
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            self._refusal = f"may not subscribe to {self._filter}; check this user's rights at the broker"
        self._subscribed = not self._refusal

    def _on_message(self, _client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
        seen = read_message(message.topic, bytes(message.payload))
        if seen is not None:
            self._inbox.append(seen)

    def _give_up(self) -> NoReturn:
        if self._refusal:
            raise ConfigError(f"{self._address}: {self._refusal}")
        why = closed_early(LOGIN_SETTINGS) if self._closed else no_mqtt(LOGIN_SETTINGS)
        raise HardwareError(f"{self._address}: {why}")
