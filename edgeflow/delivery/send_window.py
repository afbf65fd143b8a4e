"""Window of sent results: in flight, refused, and due to be sent again. Pure; clocks are arguments."""

from __future__ import annotations

from collections.abc import Sequence

from edgeflow.delivery.ahead_limit import AheadLimit
from edgeflow.delivery.in_flight import NEVER, InFlight
from edgeflow.delivery.retry_delay import RetryDelay
from edgeflow.mqtt.events import Receipt

__all__ = ["SendWindow"]

_RETRY_S = (1.0, 30.0)
_LOOK_AGAIN_S = 0.05  # between looks for results that are due again, at least
_OVERTAKEN_MOST = 1000
_PROBES = 50  # results that are sent again at once, where a consumer does not confirm in time


class SendWindow:
    """Results that were sent and are not confirmed, oldest first, with all times and counts of the sender.

    All results share one retry delay: it doubles while nothing is confirmed, and returns to the usual time of
    this consumer with each confirmation. A refusal by the broker is often meant for all results, so all wait
    until one is taken; a result that is refused while others are taken waits alone.

    Args:
        last_id: id of the newest stored result; what is stored up to it is backlog.
    """

    def __init__(self, last_id: int) -> None:
        self._results: dict[str, InFlight] = {}
        self._receipts: dict[Receipt, str] = {}
        self._old: dict[str, InFlight] = {}  # may be overtaken
        self._newest_sent = 0
        self._newest_before_connection = self._backlog_end = last_id
        self._delay = RetryDelay()
        self._ahead = AheadLimit()
        self._retry_s = _RETRY_S[0]
        self._retry_raised_s = NEVER
        self._late: dict[str, InFlight] = {}  # behind the probes: lost, or the consumer is slow
        self._held_until_s = NEVER
        self._look_again_s = NEVER
        self._taken = 0  # by the broker, without a refusal
        self._confirmed = 0
        self.backlog_grew = False

    def __contains__(self, result_id: str) -> bool:
        return result_id in self._results

    def __getitem__(self, result_id: str) -> InFlight:
        return self._results[result_id]

    @property
    def unanswered(self) -> int:
        """Messages that the broker has not answered yet."""
        return len(self._receipts)

    @property
    def newest_sent(self) -> int:
        """Row id of the newest result that was admitted; 0 before the first."""
        return self._newest_sent

    @property
    def in_backlog(self) -> bool:
        """True while the next new result is older than the connection, or than the latest refusal of all."""
        return self._newest_sent < self._backlog_end

    @property
    def retry_s(self) -> float:
        """Seconds until an unconfirmed result is sent again."""
        return self._retry_s

    def is_held(self, now_s: float) -> bool:
        """Return True while all results wait because the broker refused one."""
        return now_s < self._held_until_s

    def room(self, broker_window: int) -> int:
        """Return how many more results may be sent, at most ``broker_window`` unanswered ones.

        Results that were sent often and never confirmed hardly count.
        """
        ahead = self._ahead.limit - len(self._results)
        if ahead <= 0:
            overtaken = sum(result.is_overtaken for result in self._old.values())
            ahead += min(overtaken, _OVERTAKEN_MOST)
        return min(broker_window - len(self._receipts), ahead)

    def extend_backlog(self, last_id: int) -> None:
        """Count everything stored up to ``last_id`` as backlog: it has waited while results were refused."""
        self._backlog_end, self.backlog_grew = last_id, False

    def connected(self, connection: int, last_id: int) -> None:
        """Make everything that an earlier connection carried due at once."""
        self._newest_before_connection = self._backlog_end = last_id
        self._retry_s = _RETRY_S[0]
        self._ahead.begin_anew()
        self._late.clear()
        self._held_until_s = self._look_again_s = NEVER
        for receipt in [r for r in self._receipts if r.connection < connection]:
            del self._receipts[receipt]
        for result in self._results.values():
            if result.receipt is None or result.receipt.connection < connection:
                result.awaits_broker, result.sent_s, result.first_s = False, NEVER, NEVER

    def add(self, result_id: str, row_id: int) -> InFlight:
        """Admit the next new result; it is sent by ``begin`` and ``sent``."""
        self._newest_sent = row_id
        return self._results.setdefault(result_id, InFlight(row_id=row_id))

    def begin(self, result: InFlight, row_id: int) -> tuple[int, bool]:
        """Return the number of the next attempt, and True where that message is a replay.

        It is one where the result was sent before, or stored before the present connection.
        """
        result.note_attempt(self._confirmed)
        attempt = result.attempts + 1
        return attempt, attempt > 1 or row_id <= self._newest_before_connection

    def sent(self, result_id: str, result: InFlight, receipt: Receipt, *, size: int, now_s: float) -> None:
        """Record that a result was handed to the network, ``size`` bytes of payload."""
        result.attempts += 1
        result.sent_s, result.receipt, result.awaits_broker, result.size = now_s, receipt, True, size
        if result.first_s == NEVER:
            result.first_s = now_s
        self._receipts[receipt] = result_id
        if result.is_old:
            self._old[result_id] = result

    def answered(self, receipt: Receipt) -> str | None:
        """Record the broker's answer to a message; return its result id, or None for messages of others."""
        result_id = self._receipts.pop(receipt, None)
        if result_id in self._results:
            self._results[result_id].awaits_broker = False
        return result_id

    def taken(self) -> None:
        """Record that the broker took a result without a refusal."""
        self._taken += 1

    def refused(self, result_id: str, now_s: float) -> bool:
        """Record a refusal; return True where it begins a pause of all results."""
        result = self._results[result_id]
        before, result.refused_at = result.refused_at, self._taken
        if before is not None and before < self._taken:  # this one alone: others were taken in between
            result.refused += 1
            result.sent_s = now_s
            return False
        result.sent_s = result.first_s = self._look_again_s = NEVER
        if now_s < self._held_until_s:
            return False  # the rest of the same burst
        self._held_until_s = now_s + self._retry_s
        self._ahead.begin_anew()
        self.backlog_grew = True
        self._raise_retry(now_s)
        return True

    def confirm(self, result_ids: Sequence[str], now_s: float) -> bool:
        """Remove confirmed results and learn how long that takes; return True if any of them was sent.

        A consumer that confirms anything is there, also one that has just come and confirms what is unknown
        here: what waits goes to it at once, and not when a long delay is over.
        """
        known = [result for result_id in result_ids if (result := self._pop(result_id))]
        self._confirmed += len(known)
        self._judge_late(known)
        for result in known:
            if result.first_s != NEVER:
                self._delay.add(now_s - result.first_s)
                self._ahead.confirmed(now_s - result.first_s)
        if result_ids:
            self._retry_s = self._delay.timeout_s()
            self._held_until_s = NEVER
            self._look_again_s = min(self._look_again_s, now_s + _LOOK_AGAIN_S)
        return bool(known)

    def remove(self, result_id: str) -> None:
        """Forget a result that is not sent any more."""
        self._pop(result_id)

    def _pop(self, result_id: str) -> InFlight | None:
        self._old.pop(result_id, None)
        return self._results.pop(result_id, None)

    def due(self, now_s: float) -> list[tuple[str, InFlight]]:
        """Return what is to be sent again, oldest first; looks only when something may be, and every 50 ms.

        Of what the consumer did not confirm in time, these are the newest few: a consumer with a long queue
        would get all of it twice, and be slower still. Where it confirms those few before the older ones, the
        older ones were lost, and are due at once.
        """
        if now_s < self._look_again_s:
            return []
        next_s = now_s + self._retry_s
        due: list[tuple[str, InFlight]] = []
        late: list[tuple[str, InFlight]] = []
        again = 0  # sent again, and not late yet
        for result_id, result in self._results.items():
            if now_s - result.sent_s < self._retry_s:
                again += result.attempts > 1
            due_s = result.sent_s + result.retry_delay_s(self._retry_s)
            if result.awaits_broker or now_s < due_s:
                next_s = min(next_s, due_s)
            else:
                (due if result.sent_s == NEVER else late).append((result_id, result))
        self._look_again_s = max(next_s, now_s + _LOOK_AGAIN_S)
        if late:
            raised = self._raise_retry(now_s)
            late.sort(key=lambda each: (each[1].attempts, -each[1].sent_s))
            if raised and late[0][1].attempts == 1:  # not for those that nobody ever confirms
                self._ahead.late()
            room = max(0, _PROBES - again)
            due += sorted(late[:room], key=lambda each: each[1].row_id)
            for result_id, result in late[room:]:
                self._put_off(result_id, result, counts=raised)
        return due

    def look_again(self) -> None:
        """Have the next ``due`` look at once: not everything that was due could be sent."""
        self._look_again_s = NEVER

    def _put_off(self, result_id: str, result: InFlight, *, counts: bool) -> None:
        """Leave a late result as it is, since others are sent again; it becomes as old as they do."""
        if result.attempts == 1:
            self._late[result_id] = result
        result.waited += counts
        if result.is_old:
            self._old[result_id] = result

    def _judge_late(self, known: Sequence[InFlight]) -> None:
        """Judge by what was confirmed, whether late results wait at the consumer or were lost on the way."""
        if not self._late or not known:
            return
        if all(result.attempts > 1 for result in known):
            for result in self._late.values():
                if result.attempts == 1:
                    result.sent_s = NEVER
            self._look_again_s = NEVER
        self._late.clear()

    def _raise_retry(self, now_s: float) -> bool:
        """Double the delay once in a delay; return True if it was."""
        raised = now_s - self._retry_raised_s >= self._retry_s
        if raised:
            self._retry_s = min(2 * self._retry_s, _RETRY_S[1])
            self._retry_raised_s = now_s
        return raised
