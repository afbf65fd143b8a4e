"""The sender: one thread that publishes results from the outbox until they are confirmed."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Literal

from edgeflow.alarms import Alarms
from edgeflow.change_log import ChangeLog
from edgeflow.delivery.in_flight import NEVER, InFlight
from edgeflow.delivery.outbox import Outbox
from edgeflow.delivery.payload import mark_replayed
from edgeflow.delivery.send_window import SendWindow
from edgeflow.delivery.store.records import DROPPED, Row
from edgeflow.errors import StorageError
from edgeflow.mqtt.broker.answers import NOBODY_SUBSCRIBED, PAYLOAD_INVALID, TOO_LARGE, rights_refusal
from edgeflow.mqtt.broker.suspects import SuspectMessages
from edgeflow.mqtt.events import Acked, Confirmed, Connected, LinkEvent, Lost, Oversize, Receipt
from edgeflow.mqtt.link import MqttLink
from edgeflow.thread_activity import working

__all__ = ["ResultSender"]

logger = logging.getLogger(__name__)

_TICK_S = 0.25
_SILENT_S = 15.0  # without a sign of life the sender hangs
_STORAGE_PAUSE_S = 0.5
_EVENTS_AT_ONCE = 1000
_PAUSE_S = 0.002  # between groups of results, else they would keep a busy machine from anything else
_BACKLOG_AT_ONCE = 4  # what had to wait goes in small groups with longer pauses: a decision comes first
_BACKLOG_PAUSE_S = 0.003
_TRIAL_PAUSE_S = 2.1  # between trials of what may end the connection
_ALONE_WITHIN_S = 5.0  # how long a suspect waits for a moment when nothing else is in flight
_ENDS_CONNECTIONS = (
    "the connection ended twice while this message of {size} bytes was the only one in flight; raise the "
    "broker's limit of a message's size, or see its log"
)


class ResultSender:
    """Publishes the results of the outbox in order; a result is deleted only when it is confirmed.

    Who confirms: ``consumer``, by a message on ``result/ack``; ``broker``, by its acknowledgement. A
    broker that answers that nobody subscribed (MQTT 5 only) has thrown the message away: the result
    stays and is tried again. Sent again are: everything unconfirmed after a new connection, and what
    stays unconfirmed for 1 s (or as long as this consumer usually takes), then 2, 4 … 30 s; any confirmation
    resets that delay.

    What was stored while there was no connection or no subscriber goes in small groups with pauses: it has
    waited already, and a decision must not wait behind it.

    Results that the outbox dropped for lack of space are published in the same way, as a record on
    ``dropped``.

    One result never holds up the others. What the broker does not take, since it is too large or no text for
    it, is set aside in the outbox. So is what ends the connection: after a loss, all that was in flight goes
    one at a time, with nothing else on its way (see ``SuspectMessages``). What is refused, or sent and never
    confirmed, is tried again more and more rarely, while newer ones overtake it.

    A message is ``replayed`` when its result was stored before the present connection, or was sent
    before; ``attempt`` counts the sends of this process. A consumer tells copies by ``result_id``.
    """

    def __init__(
        self,
        outbox: Outbox,
        link: MqttLink,
        confirm: Literal["consumer", "broker"],
        alarms: Alarms | None = None,
    ) -> None:
        self._outbox = outbox
        self._link = link
        self._confirm = confirm
        self._inbox: queue.SimpleQueue[LinkEvent | None] = queue.SimpleQueue()
        self._answers: deque[Confirmed] = deque()  # of which the thread learns when it wakes up
        self._waits_for_answers = confirm == "broker"
        self._window = SendWindow(outbox.last_id())
        self._more = False
        self._suspicion = SuspectMessages()
        self._suspects_since_s = self._next_trial_s = NEVER
        self._problems = ChangeLog(logger, "delivery: ")
        self._drain_until_s: float | None = None
        self._alarms = alarms
        self._thread = threading.Thread(target=self._run, name="delivery", daemon=True)
        self._on_confirmed: Callable[[Sequence[str]], None] = lambda _: None
        link.listen(self._hear)
        outbox.on_stored(lambda _: self.wake())

    def on_confirmed(self, listener: Callable[[Sequence[str]], None]) -> None:
        """Call ``listener`` with result ids once they are confirmed, on the sender's thread; call once."""
        self._on_confirmed = listener

    def start(self) -> None:
        """Start the thread; return at once."""
        self._thread.start()

    def wake(self) -> None:
        """Look for new results now; the outbox calls this when it has stored some. Never blocks."""
        self._inbox.put(None)

    def close(self, drain_s: float) -> int:
        """Continue for at most ``drain_s`` until the outbox is empty, then end.

        Returns how many messages still wait, a record of drops among them; they are sent at the next start.
        """
        self._drain_until_s = time.monotonic() + drain_s
        self.wake()
        if self._thread.ident is not None:
            self._thread.join(drain_s + 2.0)
        return self._outbox.undelivered()

    def _run(self) -> None:
        while not self._finished():
            working(_SILENT_S)
            try:
                self._digest(self._events())
                self._more = False
                self._send()
                self._waits_for_answers = self._confirm == "broker" or self._is_held_up
                if self._more:
                    time.sleep(_BACKLOG_PAUSE_S if self._in_backlog else _PAUSE_S)
            except StorageError as cause:
                self._report(str(cause))
                time.sleep(_STORAGE_PAUSE_S)

    def _finished(self) -> bool:
        if self._drain_until_s is None:
            return False
        return self._outbox.undelivered() == 0 or time.monotonic() >= self._drain_until_s

    def _hear(self, event: LinkEvent) -> None:
        """Take an event of the link, on its thread; an answer that changes nothing now wakes nobody."""
        if isinstance(event, Confirmed) and event.reason_code == 0 and not self._waits_for_answers:
            self._answers.append(event)
        else:
            self._inbox.put(event)

    def _events(self) -> list[LinkEvent]:
        """Take the queued events; wait for the first for a moment."""
        events: list[LinkEvent | None] = []
        wait = not (self._more or (self._waits_for_answers and self._answers))
        try:
            events.append(self._inbox.get(wait, _TICK_S))
            while len(events) < _EVENTS_AT_ONCE:
                events.append(self._inbox.get_nowait())
        except queue.Empty:
            pass
        answers = [self._answers.popleft() for _ in range(len(self._answers))]
        return [*answers, *(event for event in events if event is not None)]

    def _digest(self, events: Sequence[LinkEvent]) -> None:
        done: list[str] = []
        for event in events:
            if isinstance(event, Connected):
                self._window.connected(event.connection, self._outbox.last_id())
            elif isinstance(event, Lost):
                self._suspect(event)
            elif isinstance(event, Acked):
                done.extend(event.result_ids)
            else:
                done.extend(self._confirmed(event))
        if not done:
            return
        self._outbox.delete(done)
        self._on_confirmed(done)
        if self._suspicion:
            for result_id in done:
                self._suspicion.passed(result_id)
        if self._window.confirm(done, time.monotonic()):
            self._problems.clear()
            if self._alarms:
                self._alarms.clear("outbox", subject="delivery")

    def _suspect(self, lost: Lost) -> None:
        """Suspect the messages that were in flight when the connection ended."""
        if not lost.judged:
            return
        guilty = self._suspicion.connection_ended(lost.in_flight)
        for key in self._suspicion.keys:
            if key not in self._window:  # not a result, or one that is gone
                self._suspicion.forget(key)
        self._suspects_since_s = time.monotonic()
        if len(lost.in_flight) == 1:  # decisions have a connection for most of the time
            self._next_trial_s = time.monotonic() + _TRIAL_PAUSE_S
        if guilty is not None and guilty in self._window:
            self._set_aside(guilty, _ENDS_CONNECTIONS.format(size=self._window[guilty].size))

    def _set_aside(self, result_id: str, why: str) -> None:
        """Keep a result that can never be delivered; the outbox raises the alarm."""
        row_id = self._window[result_id].row_id
        self._window.remove(result_id)
        self._suspicion.forget(result_id)
        logger.warning(
            "delivery: result %s is set aside: %s",
            result_id,
            why,
            extra={"event": "set_aside", "result_id": result_id},
        )
        self._outbox.set_aside([row_id], why)

    def _confirmed(self, event: Confirmed) -> list[str]:
        """Handle the broker's answer to a message; return the result ids that it confirms."""
        result_id = self._window.answered(event.receipt)
        self._suspicion.passed(result_id or "")
        if result_id is None or result_id not in self._window:
            return []  # some other message, or acked by the consumer before the broker answered
        if event.reason_code == 0:
            self._window.taken()
            return [result_id] if self._confirm == "broker" else []
        if event.reason_code in (TOO_LARGE, PAYLOAD_INVALID):
            size = self._window[result_id].size
            self._set_aside(
                result_id, f"the broker refuses its {size} bytes: {rights_refusal(event.reason_code)}"
            )
        elif self._window.refused(result_id, time.monotonic()):
            self._report(_refusal_text(event.reason_code))
        return []

    @property
    def _in_backlog(self) -> bool:
        """True while the next result was stored when nobody took it, and decisions are still made."""
        return self._window.in_backlog and self._drain_until_s is None

    @property
    def _is_held_up(self) -> bool:
        """True while only an answer of the broker lets the next result go."""
        return bool(self._suspicion) or self._window.unanswered >= self._link.result_window

    def _send(self) -> None:
        if not self._link.connected or self._window.is_held(time.monotonic()):
            return
        if self._suspicion:
            self._send_suspect()
        elif self._send_again():
            self._send_new()

    def _send_suspect(self) -> None:
        """Send one suspect message alone."""
        if self._window.unanswered or time.monotonic() < self._next_trial_s:
            return
        waited_s = time.monotonic() - self._suspects_since_s
        if not self._link.idle and waited_s < _ALONE_WITHIN_S:
            return  # a look comes with the next answer of the broker
        result_id = self._suspicion.keys[0]
        row = self._outbox.read(self._window[result_id].row_id)
        if row is None:
            self._window.remove(result_id)
            self._suspicion.forget(result_id)
        elif self._transmit(row, self._window[result_id]):
            self._suspects_since_s = time.monotonic()

    def _send_new(self) -> None:
        self._outbox.close_drop_records()
        if self._window.backlog_grew:
            self._window.extend_backlog(self._outbox.last_id())
        if not self._outbox.has_after(self._window.newest_sent):
            return
        room = self._window.room(self._link.result_window)
        if room <= 0:
            return
        if self._in_backlog:
            room = min(room, _BACKLOG_AT_ONCE)
        rows = self._outbox.pending(self._window.newest_sent, room)
        self._more = len(rows) == room
        with self._link.together() if len(rows) > 1 else nullcontext():
            for row in rows:
                if not self._transmit(row, self._window.add(row.result_id, row.id)):
                    return

    def _send_again(self) -> bool:
        """Send everything that is due again, oldest first; return False when not all of it could be sent."""
        for result_id, result in self._window.due(time.monotonic()):
            row = self._outbox.read(result.row_id)
            if row is None:  # dropped for want of room
                self._window.remove(result_id)
            elif self._window.unanswered >= self._link.result_window or not self._transmit(row, result):
                self._window.look_again()
                return False
        return True

    def _transmit(self, row: Row, result: InFlight) -> bool:
        """Send one row; return False where the connection is gone. A row that is too large is set aside."""
        attempt, replayed = self._window.begin(result, row.id)
        receipt = self._publish(row, replayed=replayed, attempt=attempt)
        if receipt is None:
            return False
        if isinstance(receipt, Oversize):
            why = (
                f"its message has {receipt.size} bytes, and the broker takes {receipt.limit} at most; "
                "raise that limit"
            )
            self._set_aside(row.result_id, why)
        else:
            now_s = time.monotonic()
            self._window.sent(row.result_id, result, receipt, size=len(row.payload), now_s=now_s)
        return True

    def _publish(self, row: Row, *, replayed: bool, attempt: int) -> Receipt | Oversize | None:
        record = row.record  # one that can be delivered
        payload = mark_replayed(row.payload, record, replayed=replayed, attempt=attempt)
        if row.verdict == DROPPED:
            return self._link.publish_dropped(
                payload, schema=record["schema"], replayed=replayed, key=row.result_id, root=row.root
            )
        return self._link.publish_result(
            payload,
            schema=record["schema"],
            session=record["session"],
            seq=record["seq"],
            replayed=replayed,
            key=row.result_id,
            root=row.root,
        )

    def _report(self, problem: str) -> None:
        """Log a problem when it is new, and raise the alarm."""
        if self._problems.report(problem) and self._alarms:
            self._alarms.raise_("outbox", "warning", problem, subject="delivery")


def _refusal_text(reason_code: int) -> str:
    if reason_code == NOBODY_SUBSCRIBED:
        return "nobody subscribes to the results; they wait in the outbox"
    return f"the broker refuses results: {rights_refusal(reason_code)}; they wait"
