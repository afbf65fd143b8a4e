"""The live stream: its content, and that no watcher, absent, slow or stalled, costs the line anything."""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeflow.contracts.manifest import Scale
from edgeflow.contracts.messages import Result, VerdictName, from_json
from edgeflow.errors import UsageError
from edgeflow.live.previews import LivePart, previews
from edgeflow.live.stream import LiveStream
from edgeflow.live.subscriber import Line, Subscriber
from edgeflow.right_of_way import RightOfWay
from tests.support.waiting import PATIENCE_S

SAMPLE = from_json(Result, Path(__file__).parents[2].joinpath("samples/result.json").read_bytes())
Until = Callable[[Callable[[], bool]], None]


def part(number: int, verdict: VerdictName = "OK", side: int = 64) -> LivePart:
    result = SAMPLE.model_copy(update={"part_id": f"P{number}", "verdict": verdict})
    return LivePart(
        result=result,
        images={"C1": np.full((side, 2 * side, 3), 90, np.uint8)},
        maps={"C1": np.ones((8, 16), np.float32)},
        scales={"C1": Scale(centre=0.0, threshold=1.0)},
    )


@contextmanager
def watched(stream: LiveStream) -> Iterator[socket.socket]:
    """The watcher's end of a connection that the stream serves on a thread, as the control socket does."""
    box_end, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)

    def serve() -> None:
        with box_end:
            try:
                stream.serve(box_end)
            except OSError:
                return

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield end
    finally:
        end.shutdown(socket.SHUT_RDWR)
        end.close()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def items(end: socket.socket) -> Iterator[dict[str, Any]]:
    with end.makefile("rb") as file:
        for line in file:
            yield json.loads(line)


def test_a_watcher_gets_the_latest_results_then_each_one_with_status_and_pictures() -> None:
    with LiveStream(lambda: {"state": "Ready"}) as stream:
        stream.offer(part(1))
        assert not stream.watched
        with watched(stream) as end:
            seen = items(end)
            hello = next(seen)
            assert [result["part_id"] for result in hello["results"]] == ["P1"]
            assert stream.watched
            stream.offer(part(2, "NG"))
            found: dict[str, Any] = {}
            while not {"result", "status", "preview"} <= found.keys():
                item = next(seen)
                found.setdefault(item["kind"], item)
        assert found["result"]["result"]["part_id"] == "P2"
        assert found["status"]["status"]["state"] == "Ready"
        assert (found["preview"]["part_id"], found["preview"]["verdict"]) == ("P2", "NG")
        jpeg = np.frombuffer(b64decode(found["preview"]["views"]["C1"]["heat"]), np.uint8)
        assert cv2.imdecode(jpeg, cv2.IMREAD_COLOR).shape == (64, 128, 3)


def test_counts_go_on_while_nobody_watches_and_no_part_is_held() -> None:
    with LiveStream(dict) as stream:
        for number in range(200):
            stream.offer(part(number, "NG" if number % 4 == 0 else "OK"))
        with watched(stream) as end:
            seen = items(end)
            assert len(next(seen)["results"]) == 50
            status = next(item for item in seen if item["kind"] == "status")["status"]
        assert status["counts"] == {"OK": 150, "NG": 50}
        assert status["parts_per_minute"] == 200


def test_a_stalled_watcher_holds_up_neither_the_line_nor_another_watcher() -> None:
    with LiveStream(dict) as stream, watched(stream), watched(stream) as reader:
        seen = items(reader)
        assert next(seen)["kind"] == "hello"
        for number in range(2000):  # far more than a socket's buffer and the queue hold together
            stream.offer(part(number))
            if number % 40 == 0:
                time.sleep(0.001)
        stream.offer(part(9999))
        assert any(item["kind"] == "result" and item["result"]["part_id"] == "P9999" for item in seen)


def test_a_part_that_is_not_ok_gets_its_pictures_though_ok_parts_follow() -> None:
    with LiveStream(dict) as stream, watched(stream) as end:
        seen = items(end)
        next(seen)
        for number in range(20):
            stream.offer(part(number, "NG" if number == 10 else "OK"))
        assert any(item["kind"] == "preview" and item["part_id"] == "P10" for item in seen)


def test_a_status_that_fails_does_not_end_the_stream() -> None:
    def status() -> dict[str, Any]:
        raise RuntimeError("as when a disk fails")

    with LiveStream(status) as stream, watched(stream) as end:
        seen = items(end)
        next(seen)
        stream.offer(part(1))
        assert any(item["kind"] == "result" for item in seen)
        stream.offer(part(2))
        assert any(item["kind"] == "result" for item in seen)


def test_a_watcher_that_goes_frees_its_place_though_nothing_is_told() -> None:
    def status() -> dict[str, Any]:
        raise RuntimeError("as when a disk fails")

    with LiveStream(status) as stream:
        with watched(stream) as end:
            assert next(items(end))["kind"] == "hello"
            end.shutdown(socket.SHUT_WR)  # as programs do that only read
            time.sleep(2.5)
            assert stream.watched
        assert not stream.watched


def test_more_than_eight_watchers_are_refused() -> None:
    with ExitStack() as stack, LiveStream(dict) as stream:
        for _ in range(8):
            end = stack.enter_context(watched(stream))
            assert next(items(end))["kind"] == "hello"
        here, there = socket.socketpair()
        with here, there, pytest.raises(UsageError, match="8 programs watch"):
            stream.serve(there)


def test_a_full_queue_drops_the_oldest_results_and_says_how_many() -> None:
    queue = Subscriber()
    for number in range(70):
        queue.put(Line(kind="result", data=b"%d\n" % number))
    assert queue.take() == b'{"kind": "dropped", "count": 6}\n6\n'
    queue.put(Line(kind="preview", data=b"old\n"))
    queue.put(Line(kind="preview", data=b"new\n"))
    rest = [queue.take() for _ in range(64)]
    assert rest[-1] == b"new\n"
    assert b"old\n" not in rest
    queue.close()
    assert queue.take() is None


def test_pictures_are_small_whatever_the_camera_gives() -> None:
    large = part(1, side=2000)
    found = previews(large)["C1"]
    for jpeg in found.values():
        image = cv2.imdecode(np.frombuffer(b64decode(jpeg), np.uint8), cv2.IMREAD_COLOR)
        assert image.shape == (160, 320, 3)
    alone = LivePart(result=large.result, images=large.images, maps={}, scales={})
    assert set(previews(alone)["C1"]) == {"image"}


def test_nothing_is_made_for_watchers_while_a_part_waits_for_its_decision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The line holds the right of way from a part's images to its decision."""
    monkeypatch.setattr("edgeflow.live.stream._PATIENCE_S", 60.0)
    asked: list[bool] = []
    way, held = RightOfWay(), threading.Event()

    def status() -> dict[str, str]:
        asked.append(held.is_set())
        return {"state": "Ready"}

    with LiveStream(status, right_of_way=way) as stream, way:
        held.set()
        with watched(stream) as end, end.makefile("rb") as file:
            assert json.loads(file.readline())["kind"] == "hello"
            stream.offer(part(1))
            assert select.select([end], [], [], 0.3)[0] == []
            held.clear()
            way.__exit__(None, None, None)
            kinds = {json.loads(file.readline())["kind"] for _ in range(3)}
    assert kinds == {"result", "status", "preview"}
    assert asked
    assert not any(asked)
