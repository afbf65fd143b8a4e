"""Triggers that the line sends over MQTT: heard from the start, acted upon only while the line runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from edgeflow.alarms import Alarms
from edgeflow.contracts.messages import TriggerMessage, from_json
from edgeflow.errors import DataError
from edgeflow.subscriptions import Incoming
from edgeflow.trigger_intake import Intake, TriggerIntake, TriggerOutcome
from edgeflow.triggers import Trigger

__all__ = ["MAX_TRIGGER_BYTES", "MqttTriggers"]

logger = logging.getLogger(__name__)

MAX_TRIGGER_BYTES = 4096
_WELL_AFTER = 100  # accepted triggers in a row end the alarm


class MqttTriggers:
    """Handles the ``trigger`` topic; at QoS 1 the broker repeats messages, and the intake finds them.

    Args:
        alarms: told of every kind of refusal but mere repetition.
        late_ms, names_only: as of :class:`~edgeflow.trigger_intake.TriggerIntake`.
    """

    def __init__(
        self, alarms: Alarms | None = None, *, late_ms: float | None = None, names_only: bool = False
    ) -> None:
        late_ns = None if late_ms is None else round(late_ms * 1e6)
        self._intake = TriggerIntake(late_ns=late_ns, names_only=names_only)
        self._alarms = alarms
        self._accepted: Callable[[Trigger], None] | None = None
        self._refused: Callable[[Trigger, str], None] | None = None
        self._well = 0

    @property
    def counts(self) -> Mapping[TriggerOutcome, int]:
        """How many messages met which fate."""
        return self._intake.counts

    def start(
        self, on_trigger: Callable[[Trigger], None], on_refused: Callable[[Trigger, str], None]
    ) -> None:
        """From now on, messages are triggers; both functions are called on the network thread."""
        self._refused = on_refused
        self._accepted = on_trigger

    def stop(self) -> None:
        """From now on, messages are refused again."""
        self._accepted = None

    def handle(self, incoming: Incoming) -> None:
        """Take one message of the topic; never blocks."""
        accepted, refused = self._accepted, self._refused
        intake = self._offer(incoming, ready=accepted is not None)
        self._tell(intake)
        if intake.trigger is None or accepted is None or refused is None:
            return
        if intake.outcome == "accepted":
            accepted(intake.trigger)
        else:
            refused(intake.trigger, intake.text)

    def _offer(self, incoming: Incoming, *, ready: bool) -> Intake:
        try:
            message = from_json(TriggerMessage, incoming.payload)
        except DataError as problem:
            return self._intake.refuse("invalid", "; ".join([problem.message, *problem.problems[:3]]))
        if not ready and not incoming.retained:
            self._intake.hear(message, incoming.received_ns)
            text = f"trigger '{message.trigger_id}': the line does not run; wait for the state to be ready"
            return self._intake.refuse("not_ready", text)
        return self._intake.offer(message, retained=incoming.retained, received_ns=incoming.received_ns)

    def _tell(self, intake: Intake) -> None:
        if intake.outcome == "accepted":
            self._well += 1
            if self._well == _WELL_AFTER and self._alarms is not None:
                self._alarms.clear("trigger_refused")
            return
        if intake.outcome == "duplicate":  # QoS 1 may do this any time
            logger.info("%s", intake.text)
            return
        self._well = 0
        logger.warning("%s", intake.text)
        if self._alarms is not None:
            kind = intake.outcome.replace("_", " ")
            text = f"a trigger was refused ({kind}), see the log; check what sends them"
            self._alarms.raise_("trigger_refused", "warning", text)
