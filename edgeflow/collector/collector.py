"""A running collector: built from its file, run until it is stopped."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

from prometheus_client import CollectorRegistry, start_http_server

from edgeflow import __version__
from edgeflow.change_log import ChangeLog
from edgeflow.collector.consumer import Consumer
from edgeflow.collector.figures import CollectorFigures, CollectorMetrics
from edgeflow.collector.inbox import Inbox
from edgeflow.collector.other_consumers import OtherConsumers
from edgeflow.collector.records import SetAside, read_row
from edgeflow.collector.settings import CollectorConfig, PostgresqlConfig
from edgeflow.collector.stores.sqlite import SqliteStore
from edgeflow.collector.stores.store import RowRefusedError, Store, StoreUnavailableError
from edgeflow.collector.webhook import Webhook, post, read_webhook_secret
from edgeflow.collector.writer import Writer
from edgeflow.config.units import host_and_port
from edgeflow.errors import UsageError

__all__ = ["open_store", "retry_set_aside", "run_collector"]

logger = logging.getLogger(__name__)

_TICK_S = 0.25
_STOP_S = 5.0
_PAUSE_S = 1.0
_END_ONE = "a box forgets a result with the first acknowledgement: end one of them"
_MEMORY = "memory_mb is used up: results are not taken, and their boxes send them again"


def open_store(config: CollectorConfig) -> Store:
    """Return the database of the file; it connects when it is used.

    Raises:
        UsageError: the extra for it is not installed.
    """
    keep = timedelta(days=config.retention.days) if config.retention is not None else None
    posted = tuple(config.webhook.verdicts) if config.webhook is not None else ()
    if not isinstance(config.store, PostgresqlConfig):
        return SqliteStore(config.store, keep=keep, posted=posted)
    try:
        from edgeflow.collector.stores.postgresql import PostgresqlStore  # noqa: PLC0415 - an extra
    except ImportError as cause:
        raise UsageError("PostgreSQL needs more packages: pip install 'edgeflow[collector]'") from cause
    return PostgresqlStore(config.store, name=config.collector_name, keep=keep, posted=posted)


def run_collector(config: CollectorConfig, stop: threading.Event, ready: Callable[[str], None]) -> None:
    """Collect until ``stop`` is set.

    Args:
        ready: called with one line about the database, once it answered.

    Raises:
        ConfigError: the settings cannot be used.
        UsageError: an extra is missing, or the address of the metrics is taken.
    """
    inbox = Inbox(round(config.memory_mb * 1e6))
    others = OtherConsumers(group=config.group, name=config.collector_name)
    consumer = Consumer(config, inbox, others)
    store = open_store(config)
    writer = Writer(
        store, inbox, consumer.acknowledge, max_rows=config.batch.max_rows, max_s=config.batch.max_ms / 1000
    )
    webhook = _webhook(config)
    running = _Running(config, consumer, writer, inbox, others)
    running.serve_metrics()
    consumer.start()
    identity = ""
    try:
        identity = running.wait_for_database(store, stop)
        if identity:
            others.store = identity
            ready(identity)
            writer.start()
            if webhook is not None:
                webhook.start()
            running.watch(stop)
    finally:
        writer.stop(_STOP_S)
        if webhook is not None and identity:
            webhook.stop(_STOP_S)
        consumer.stop()


def _webhook(config: CollectorConfig) -> Webhook | None:
    """Return the webhook where the file has one; it is not started.

    Raises:
        ConfigError: its secret cannot be used.
    """
    if config.webhook is None:
        return None
    send = partial(post, config.webhook, read_webhook_secret(config.webhook))
    return Webhook(open_store(config), config.webhook, send)


class _Running:
    """Status of a running collector, for the log, for others at the broker, and for Prometheus."""

    def __init__(
        self,
        config: CollectorConfig,
        consumer: Consumer,
        writer: Writer,
        inbox: Inbox,
        others: OtherConsumers,
    ) -> None:
        self._config = config
        self._consumer, self._writer, self._inbox, self._others = consumer, writer, inbox, others
        self._rivals = ChangeLog(logger, "another consumer acknowledges results: ", logging.ERROR)
        self._memory = ChangeLog(logger, "", logging.ERROR)
        self._database = ChangeLog(logger, "the database is not ready: ", logging.ERROR)

    def serve_metrics(self) -> None:
        """Serve the metrics where the file wants it.

        Raises:
            UsageError: the address is taken.
        """
        listen = self._config.metrics.listen
        if listen is None:
            return
        registry = CollectorRegistry()
        about = {
            "collector": self._config.collector_name,
            "group": self._config.group,
            "version": __version__,
        }
        registry.register(CollectorMetrics(self.figures, about))
        host, port = host_and_port(listen)
        try:
            start_http_server(port, addr=host, registry=registry)
        except OSError as cause:
            raise UsageError(
                f"metrics.listen {listen}: cannot be listened at: {cause.strerror or cause}; end what "
                "uses it, or give another address"
            ) from cause

    def wait_for_database(self, store: Store, stop: threading.Event) -> str:
        """Return the database's id once it answers; empty where the collector is stopped before."""
        while not stop.is_set():
            try:
                identity = store.identity()
            except (StoreUnavailableError, RowRefusedError) as cause:
                self._database.report(str(cause))
                self._consumer.register({"problem": str(cause)})
                stop.wait(_PAUSE_S)
            else:
                self._database.clear()
                return identity
        return ""

    def watch(self, stop: threading.Event) -> None:
        """Tell what changes until ``stop`` is set."""
        refused = 0
        while not stop.wait(_TICK_S):
            found = self._others.problems(time.monotonic())
            self._rivals.report("; ".join([*found, _END_ONE]) if found else "")
            if self._inbox.refused > refused:
                self._memory.report("; ".join(filter(None, [_MEMORY, self._writer.problem])))
                refused = self._inbox.refused
            elif not self._writer.problem:
                self._memory.clear()
            two = self._writer.sessions.two_boxes(time.monotonic())
            problems = [self._writer.problem, *found, *(f"two boxes are {root}" for root in two)]
            self._consumer.register({"problem": "; ".join(filter(None, problems))})

    def figures(self) -> CollectorFigures:
        """Return the figures of this moment."""
        now_s = time.monotonic()
        return CollectorFigures(
            counts=self._writer.counts,
            connected=self._consumer.connected,
            collecting=self._consumer.collecting,
            database_up=not self._writer.problem and bool(self._others.store),
            waiting=len(self._inbox),
            oldest_age_s=self._inbox.oldest_age_s,
            refused=self._inbox.refused,
            others=len(self._others.problems(now_s)),
            two_boxes=len(self._writer.sessions.two_boxes(now_s)),
        )


def retry_set_aside(store: Store) -> tuple[int, int]:
    """Take in again what was set aside, as this version reads it; return the numbers taken and left.

    Raises:
        StoreUnavailableError: the database takes nothing.
    """
    taken = stay = after = 0
    while portion := store.aside(after, 100):
        for kept in portion:
            after = kept.number
            row = read_row(kept.source)
            try:
                if not isinstance(row, SetAside):
                    store.take_back(kept.number, row, datetime.now(UTC))
                    taken += 1
                    continue
            except RowRefusedError as refusal:
                logger.info("%s stays set aside: %s", kept.result_id or kept.number, refusal)
            stay += 1
    return taken, stay
