"""Monitor of the broker: refusals, suspect messages, and the end of a stalled connection."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from edgeflow.contracts.topics import Topics
from edgeflow.mqtt.broker.answers import (
    NOBODY_SUBSCRIBED,
    PAYLOAD_INVALID,
    TOO_LARGE,
    WILDCARDS_NOT_SUPPORTED,
    rights_refusal,
)
from edgeflow.mqtt.broker.limits import BrokerLimits
from edgeflow.mqtt.broker.refusals import Refusals
from edgeflow.mqtt.broker.suspects import SuspectMessages
from edgeflow.mqtt.broker.unanswered import BrokerPace, Sent, Unanswered
from edgeflow.mqtt.events import Oversize
from edgeflow.mqtt.gate_record import GateRecord
from edgeflow.mqtt.retained_documents import RetainedDocuments

__all__ = ["REPLY", "BrokerMonitor", "Judged"]

REPLY = "reply"
"""Key of answers to commands: their topics are the askers' matter."""

_QUEUED_MOST = 5  # times what the broker takes in flight
_SILENT_S = 30.0  # a broker that does not answer a message for so long has lost it
_DECISIONS_PAUSE_S = 10.0  # where decisions themselves end the connection
_TWICE = "the connection ended twice while only this message was in flight"
_REFUSED_FIRST = 0x80
Judged = tuple[tuple[str, ...], bool]
"""Keys of what was in flight when a connection ended, and whether one that was alone may be the reason."""


class BrokerMonitor:
    """Watches all connections of one link; for the network thread, except for the methods that only read.

    Args:
        documents: those among them that end connections are not sent any more.
    """

    def __init__(
        self,
        topics: Topics,
        validity_s: float,
        documents: RetainedDocuments,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.gate = GateRecord()
        self.refusals = Refusals(topics.root)
        self._topics = topics
        self._validity_s = validity_s
        self._documents = documents
        self._clock_s = clock_s
        self._pace = BrokerPace()
        self._suspicion = SuspectMessages()  # of decisions
        self._no_decision_until_s = -math.inf
        self._stalled = False

    def takes_decisions(self, waiting: Unanswered, limits: BrokerLimits) -> bool:
        """Return True if a decision that is sent now can arrive while it is valid."""
        now_s = self._clock_s()
        if now_s < self._no_decision_until_s:
            return False
        if len(waiting) < limits.in_flight:
            return True
        # It waits for its turn with us, which is short where the broker keeps up.
        keeps_up = waiting.oldest_decision_age_s(now_s) < self._validity_s / 2
        return keeps_up and len(waiting) < _QUEUED_MOST * limits.in_flight

    def oversize(self, topic: str, found: Oversize) -> None:
        """Record a message that was not sent, since it is larger than the broker's limit; for any thread."""
        text = f"its message has {found.size} bytes, the broker takes {found.limit}; raise its limit"
        self.refusals.note("message_withheld", "error", topic, text)

    def take(self, sent: Sent, reason_code: int) -> None:
        """Record the broker's answer to a message or a subscription."""
        self._pace.add(self._clock_s() - sent.sent_s)
        self._documents.passed(sent.key)
        self._suspicion.passed(sent.key)
        self._note(sent, reason_code)

    def trouble(self, waiting: Unanswered) -> str:
        """Return why this connection is to be ended; empty where it is not."""
        now_s = self._clock_s()
        if waiting.silence_s(now_s) < self._validity_s:
            return ""  # nearly always, and after every packet
        patience_s = self._pace.patience_s(self._validity_s)
        self._stalled = waiting.decision_silence_s(now_s) >= patience_s
        if self._stalled:
            return f"does not acknowledge decisions in time ({self._validity_s:g} s); is the broker stalled?"
        if waiting.silence_s(now_s) >= max(_SILENT_S, patience_s):
            return f"does not acknowledge a message for {_SILENT_S:g} s; see the broker's log"
        return ""

    def heed(self, limits: BrokerLimits, filters: tuple[str, ...]) -> None:
        """Record which messages and subscriptions this broker's limits do not allow."""
        if not limits.wildcards:
            for each in filters:
                if _is_wild(each):
                    self._note_subscription(each, WILDCARDS_NOT_SUPPORTED)
        if not limits.retain:
            text = "the broker keeps none: who connects later does not see the box's state; allow them there"
            self.refusals.note("broker_refuses", "warning", f"{self._topics.root}/retained messages", text)

    def ended(self, waiting: Unanswered, *, stopping: bool) -> Judged:
        """Record the end of a connection; what was in flight may be the reason."""
        in_flight = waiting.all()
        keys = tuple(sent.key for sent in in_flight)
        judged = not self._stalled and not stopping
        self._stalled = False
        if judged:
            self._judge(in_flight, keys)
        return keys, judged

    def _judge(self, in_flight: tuple[Sent, ...], keys: tuple[str, ...]) -> None:
        guilty = self._documents.connection_ended(keys)
        if guilty is not None:
            topic, size = guilty
            text = f"{_TWICE} ({size} bytes); it is not sent until it is smaller"
            self.refusals.note("message_withheld", "error", topic, text)
        decision = self._topics.decision
        if self._suspicion.connection_ended(keys) == decision:
            self._no_decision_until_s = self._clock_s() + _DECISIONS_PAUSE_S
            text = f"{_TWICE} ({in_flight[0].size} bytes); the next try is in {_DECISIONS_PAUSE_S:g} s"
            self.refusals.note("message_withheld", "error", decision, text)
        for key in self._suspicion.keys:
            if key != decision:
                self._suspicion.forget(key)

    def _note(self, sent: Sent, reason_code: int) -> None:
        """Record one answer of the broker."""
        if sent.key == REPLY:
            return
        if sent.subscribes:
            self._note_subscription(sent.topic, reason_code)
            return
        if sent.decision_id:
            self.gate.answered(sent.decision_id, taken=reason_code == 0)
        if reason_code == NOBODY_SUBSCRIBED and sent.decision_id:
            text = "nobody subscribes to the decisions; check the line controller"
            self.refusals.note("decisions_unheard", "warning", sent.topic, text)
        elif reason_code in (TOO_LARGE, PAYLOAD_INVALID) and _is_result(sent.topic):
            return  # one of them, not all; their sender deals with it
        elif reason_code >= _REFUSED_FIRST:
            text = f"the broker refuses it: {rights_refusal(reason_code)}"
            self.refusals.note("broker_refuses", "error", sent.topic, text)
        else:
            self.refusals.over(sent.topic, "broker_refuses", "message_withheld", "decisions_unheard")

    def _note_subscription(self, topic: str, reason_code: int) -> None:
        if reason_code >= _REFUSED_FIRST:
            text = f"the broker refuses the subscription: {rights_refusal(reason_code)}"
            self.refusals.note("broker_refuses", "error", topic, text, subscription=True)
        else:
            self.refusals.over(topic, "broker_refuses", subscription=True)


def _is_result(topic: str) -> bool:
    """Return True for a result topic of this station, or of one where the box stood before."""
    return topic.rpartition("/")[2] in ("result", "dropped")


def _is_wild(topic_filter: str) -> bool:
    return bool(set(topic_filter) & set("+#"))
