"""Messages without an answer on one connection, and the time since the broker's last answer. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from statistics import median_low

__all__ = ["BrokerPace", "Sent", "Unanswered"]

_REMEMBERED = 31  # delays: one stall that is shorter than the patience does not change their median
_LONGEST_S = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """One message that was handed to the network.

    Attributes:
        key: names what is sent: a topic, or a result.
        topic: where it goes.
        size: bytes of its payload.
        sent_s: monotonic.
        decision_id: result id of a decision, which is worthless after a while; empty for all else.
    """

    key: str
    topic: str
    size: int
    sent_s: float
    decision_id: str = ""
    subscribes: bool = False


class BrokerPace:
    """Usual answer time of this broker; outlives connections."""

    def __init__(self) -> None:
        self._delays_s: deque[float] = deque(maxlen=_REMEMBERED)

    def add(self, delay_s: float) -> None:
        """Add the time between a message and its answer."""
        self._delays_s.append(delay_s)

    def patience_s(self, validity_s: float) -> float:
        """Return how long an answer may take before the broker counts as stalled.

        As long as a decision is valid; longer for a broker that always takes its time: to end its
        connection again and again would make nothing faster.
        """
        usual_s = median_low(self._delays_s) if self._delays_s else 0.0
        return max(validity_s, min(2 * usual_s, _LONGEST_S))


class Unanswered:
    """Messages that were sent and are not answered yet.

    Any thread may add and ask; one thread takes answers. No lock: an answer comes while paho holds its own.
    """

    def __init__(self) -> None:
        self._sent: dict[int, Sent] = {}
        self._decisions: dict[int, float] = {}  # message id → when it was sent
        self._heard_s = 0.0
        self.answers = 0

    def __len__(self) -> int:
        return len(self._sent)

    def add(self, message_id: int, sent: Sent) -> None:
        """Add a message that was handed to the network."""
        if sent.decision_id:  # first: whoever takes the message takes this, too
            self._decisions[message_id] = sent.sent_s
        self._sent[message_id] = sent

    def take(self, message_id: int, now_s: float) -> Sent | None:
        """Remove the message that the broker answered; None where the sender has not called ``add`` yet."""
        sent = self._sent.pop(message_id, None)
        if sent is None:
            return None
        self._decisions.pop(message_id, None)
        self.answers += 1
        if sent.sent_s <= self._oldest_s(now_s):  # brokers answer in order: what came later is no progress
            self._heard_s = now_s
        return sent

    def all(self) -> tuple[Sent, ...]:
        """Return the messages that wait, oldest first."""
        return tuple(self._sent.values())

    def decision_silence_s(self, now_s: float) -> float:
        """Return the seconds without any answer while a decision waits for one; 0 where none waits."""
        oldest_s = self._oldest_s(now_s)
        return max(0.0, now_s - max(oldest_s, self._heard_s))

    def oldest_decision_age_s(self, now_s: float) -> float:
        """Return how long the oldest decision has waited for its answer; 0 where none waits."""
        return now_s - self._oldest_s(now_s)

    def silence_s(self, now_s: float) -> float:
        """Return the seconds without any answer since the oldest waiting message was sent."""
        oldest = next(iter(self.all()), None)  # a copy: another thread may add meanwhile
        return max(0.0, now_s - max(oldest.sent_s, self._heard_s)) if oldest else 0.0

    def _oldest_s(self, now_s: float) -> float:
        return min(tuple(self._decisions.values()), default=now_s)
