"""Triggers over MQTT: received from the start, accepted while the line runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace

from edgeflow.alarms import AlarmHysteresis, Alarms
from edgeflow.capture.trigger_messages.filter import FilterResult, TriggerFilter, TriggerOutcome
from edgeflow.capture.trigger_messages.memory import Windows
from edgeflow.capture.trigger_messages.parsing import TriggerReading, read_trigger
from edgeflow.capture.trigger_messages.product_field import ProductField
from edgeflow.capture.triggers import Trigger
from edgeflow.contracts.messages import AlarmCode, Severity
from edgeflow.mqtt.subscriptions import Incoming
from edgeflow.rate_limit import RateLimit

__all__ = ["MAX_TRIGGER_BYTES", "MqttTriggers"]

logger = logging.getLogger(__name__)

MAX_TRIGGER_BYTES = 16_384
_WELL_AFTER = 100  # accepted triggers in a row end the alarms
_ALARMS: tuple[AlarmCode, ...] = ("trigger_refused", "trigger_flood", "trigger_message")
_ALARM_EVERY_NS = 1_000_000_000
_LINES, _LINE_EVERY_NS = 20, 1_000_000_000
_REPEATED = (
    "trigger ids come again within a minute, so that a late copy cannot be told from a new part; let ids "
    "count on for longer, or send 'at', the time of each trigger, with milliseconds"
)
_FLOOD = (
    "triggers come faster than parts are decided, so that some get no decision; check what sends them "
    "('edgeflow ctl BOX status' counts them)"
)


class MqttTriggers:
    """Handles the ``trigger`` topic; at QoS 1 the broker repeats messages, and the filter finds them.

    Work and memory of each message are bounded, whatever is sent and how often.

    Args:
        alarms: raised for every kind of refusal but repetition.
        product_field: of the messages, where they name the part's product.
        late_ms, names_only, windows: as of :class:`~edgeflow.capture.trigger_messages.filter.TriggerFilter`.
    """

    def __init__(
        self,
        alarms: Alarms | None = None,
        *,
        late_ms: float | None = None,
        names_only: bool = False,
        windows: Windows | None = None,
        product_field: ProductField | None = None,
    ) -> None:
        late_ns = None if late_ms is None else round(late_ms * 1e6)
        self._filter = TriggerFilter(late_ns=late_ns, names_only=names_only, windows=windows)
        self._alarms = alarms
        self._product_field = product_field
        self._accepted: Callable[[Trigger], None] | None = None
        self._refused: Callable[[Trigger, str], None] | None = None
        self._under_way: Callable[[], int] = lambda: 0
        self._reset_wanted = False
        self._refusals = AlarmHysteresis(_WELL_AFTER)
        self._log_limit = RateLimit(at_once=_LINES, every_ns=_LINE_EVERY_NS)
        self._unlogged = 0
        self._raised_ns: dict[AlarmCode, int] = {}

    @property
    def counts(self) -> Mapping[TriggerOutcome, int]:
        """Number of messages by outcome."""
        return self._filter.counts

    def status(self) -> dict[str, int]:
        """Return the counts by outcome, with the refused triggers that were too many to be answered."""
        return {**dict(sorted(self._filter.counts.items())), "unanswered": self._filter.unanswered}

    def start(
        self,
        on_trigger: Callable[[Trigger], None],
        on_refused: Callable[[Trigger, str], None],
        under_way: Callable[[], int] = lambda: 0,
    ) -> None:
        """Accept messages from now on; all functions are called on the network thread.

        Args:
            under_way: how many triggers have no decision yet.
        """
        self._under_way = under_way
        self._refused = on_refused
        self._accepted = on_trigger

    def stop(self) -> None:
        """Refuse messages from now on."""
        self._accepted = None

    def reset(self) -> None:
        """Forget the sender's clock, encoder and ids from the next message on; any thread may ask for it."""
        self._reset_wanted = True

    def handle(self, incoming: Incoming) -> None:
        """Take one message of the topic; never blocks."""
        if self._reset_wanted:
            self._reset_wanted = False
            self._filter.reset(incoming.received_ns)
        accepted, refused = self._accepted, self._refused
        result = self._offer(incoming, ready=accepted is not None)
        self._report(result, incoming.received_ns)
        if result.trigger is None or accepted is None or refused is None:
            return
        if result.outcome == "accepted":
            accepted(result.trigger)
        else:
            refused(result.trigger, result.text)

    def _offer(self, incoming: Incoming, *, ready: bool) -> FilterResult:
        if incoming.size > MAX_TRIGGER_BYTES:
            text = f"trigger message: {incoming.size} bytes, more than {MAX_TRIGGER_BYTES}; not read"
            return self._filter.refuse("invalid", text)
        reading = read_trigger(incoming.payload)
        result = self._judge(reading, incoming, ready=ready)
        if self._product_field is None or result.trigger is None:
            return result
        product = self._product_field.read(reading.data)
        return replace(result, trigger=replace(result.trigger, product=product))

    def _judge(self, reading: TriggerReading, incoming: Incoming, *, ready: bool) -> FilterResult:
        for note in reading.notes:
            self._raise("trigger_message", "warning", f"a trigger message: {note}", incoming.received_ns)
        message, now_ns, count = reading.message, incoming.received_ns, self._under_way()
        if message is None:
            return self._filter.refuse("invalid", reading.problem)
        if incoming.retained:
            return self._filter.offer(message, retained=True, received_ns=now_ns)
        if not ready:
            self._filter.estimate_send_time(message, now_ns)
            text = f"trigger '{message.trigger_id}': the line does not run; wait for the state to be ready"
            return self._filter.refuse("not_ready", text)
        if reading.problem:
            return self._filter.refuse_named(message, reading.problem, received_ns=now_ns, under_way=count)
        return self._filter.offer(message, retained=False, received_ns=now_ns, under_way=count)

    def _report(self, result: FilterResult, now_ns: int) -> None:
        if self._filter.ids_are_used_again or result.outcome == "repeated":
            self._raise("trigger_repeated", "warning", _REPEATED, now_ns)
        if result.outcome == "accepted":
            if self._refusals.good() and self._alarms is not None:
                for code in _ALARMS:
                    self._alarms.clear(code)
                if not self._filter.ids_are_used_again:
                    self._alarms.clear("trigger_repeated")
            return
        if result.outcome == "duplicate":  # QoS 1 may do this any time
            logger.debug("%s", result.text)
            return
        self._refusals.bad(result.text)
        self._log(result.text, now_ns)
        kind = result.outcome.replace("_", " ")
        text = f"a trigger was refused ({kind}), see the log; check what sends them"
        self._raise("trigger_refused", "warning", text, now_ns)
        if result.outcome == "crowded":
            self._raise("trigger_flood", "error", _FLOOD, now_ns)

    def _log(self, text: str, now_ns: int) -> None:
        """One line for each refusal, unless there are too many; these are counted."""
        if not self._log_limit.allows(now_ns):
            self._unlogged += 1
            return
        more = f" (and {self._unlogged} more that were not logged)" if self._unlogged else ""
        self._unlogged = 0
        logger.warning("%s%s", text, more)

    def _raise(self, code: AlarmCode, severity: Severity, text: str, now_ns: int) -> None:
        """Let an alarm stand; its text changes once a second at most."""
        raised_ns = self._raised_ns.get(code)
        if self._alarms is None or (raised_ns is not None and now_ns - raised_ns < _ALARM_EVERY_NS):
            return
        self._raised_ns[code] = now_ns
        self._alarms.raise_(code, severity, text)
