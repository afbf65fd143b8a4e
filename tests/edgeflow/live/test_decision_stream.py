"""The decision stream: decisions at once, signs of life, and no follower that costs the line anything."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from edgeflow.contracts.messages import Decision, Result, State, from_json
from edgeflow.errors import UsageError
from edgeflow.live.decision_stream import BEAT_S, DecisionStream
from tests.support.waiting import PATIENCE_S

SAMPLE = from_json(Result, Path(__file__).parents[2].joinpath("samples/result.json").read_bytes())
AT = "2026-03-04T10:11:12.123Z"


def decision(seq: int) -> Decision:
    names = ("trigger_id", "part_id", "verdict", "reason", "session", "acquired_at")
    same = {name: getattr(SAMPLE, name) for name in names}
    return Decision(result_id=f"r-{seq}", seq=seq, valid_until=AT, **same)


class Box:
    """A state that the test moves."""

    def __init__(self) -> None:
        self.name: Any = "Ready"

    def __call__(self) -> State:
        return State(
            session="s", state=self.name, detail="", recipe="b", ready=True, degraded_views=(), at=AT
        )


@contextmanager
def followed(stream: DecisionStream) -> Iterator[socket.socket]:
    """The follower's end of a connection that the stream serves on a thread, as the control socket does."""
    box_end, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)

    def serve() -> None:
        with box_end:
            try:
                stream.serve(box_end)
            except (OSError, UsageError) as error:
                stream_errors.append(error)

    stream_errors: list[Exception] = []
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield end
    finally:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def items(end: socket.socket) -> Iterator[dict[str, Any]]:
    with end.makefile("rb") as file:
        for line in file:
            yield json.loads(line)


def test_a_follower_gets_the_latest_then_decisions_results_and_every_change_of_state() -> None:
    box = Box()
    stream = DecisionStream(box)
    stream.decided(decision(1))
    stream.finished(SAMPLE)
    with followed(stream) as end:
        seen = items(end)
        hello = next(seen)
        assert hello["kind"] == "hello"
        assert hello["decision"]["seq"] == 1
        assert [result["result_id"] for result in hello["results"]] == [SAMPLE.result_id]
        stream.decided(decision(2))
        stream.finished(SAMPLE)
        others = [item for item in (next(seen) for _ in range(12)) if item["kind"] != "state"][:2]
        assert [item["kind"] for item in others] == ["decision", "result"]
        assert others[0]["decision"]["seq"] == 2
        box.name = "Error"
        assert any(item["kind"] == "state" and item["state"]["state"] == "Error" for item in seen)


def test_a_follower_hears_of_the_box_also_while_nothing_happens() -> None:
    stream = DecisionStream(Box())
    with followed(stream) as end:
        seen = items(end)
        before_s = time.monotonic()
        kinds = [next(seen)["kind"] for _ in range(6)]
        assert kinds == ["hello", *["state"] * 5]
        assert time.monotonic() - before_s >= 3 * BEAT_S


def test_a_follower_that_stalls_loses_the_oldest_and_is_told_how_many() -> None:
    stream = DecisionStream(Box())
    with followed(stream) as end:
        assert next(items(end))["kind"] == "hello"
        time.sleep(0.1)
        before_s = time.monotonic()
        for seq in range(20_000):
            stream.decided(decision(seq))
        assert time.monotonic() - before_s < 20
        stream.decided(decision(99_999))
        numbers, dropped = [], 0
        for item in items(end):
            if item["kind"] == "decision":
                numbers.append(item["decision"]["seq"])
            dropped += item.get("count", 0)
            if numbers[-1:] == [99_999]:
                break
        assert numbers == sorted(numbers)
        assert len(numbers) + dropped >= 20_000


def test_a_ninth_follower_is_refused_and_the_end_of_the_box_ends_all() -> None:
    stream = DecisionStream(Box())
    with ExitStack() as stack:
        ends = [stack.enter_context(followed(stream)) for _ in range(8)]
        for end in ends:
            end.settimeout(20)
            assert end.recv(1)
        with pytest.raises(UsageError, match="8 programs follow this box already"):
            stream.serve(ends[0])
        stream.close()
        for end in ends:
            while end.recv(65536):
                pass
