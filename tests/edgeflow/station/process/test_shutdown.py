"""A process that ends in its time, also while its main thread hangs where no handler of Python runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from edgeflow.station.process.shutdown import TimedShutdown
from tests.support.waiting import PATIENCE_S

HANGS = """
import ctypes, signal, sys, threading
from edgeflow.station.process.shutdown import TimedShutdown

def words(text):
    print(text, flush=True)
    if "{words}" == "hang":
        threading.Event().wait(3600)

signal.signal(signal.SIGTERM, lambda *_: print("asked", flush=True))
with TimedShutdown(words, limit_s=0.3):
    print("ready", flush=True)
    library = ctypes.CDLL(None)
    while True:
        library.sleep(3600)
"""

LEFT = """
import threading
from edgeflow.station.process.shutdown import end_process
from edgeflow.thread_activity import waiting, working

def run():
    {said}
    started.set()
    threading.Event().wait(3600)

started = threading.Event()
threading.Thread(target=run, name="scoring", daemon=True).start()
started.wait()
print("said", end="")
try:
    end_process(6)
finally:
    print(", cleaned up", end="")
"""


@pytest.fixture
def begun() -> Callable[[str], subprocess.Popen[str]]:
    def begin(script: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        return subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment
        )

    return begin


@pytest.mark.parametrize("words", ["said", "hang"])
def test_a_hanging_process_says_its_last_words_and_ends_with_6(
    begun: Callable[[str], subprocess.Popen[str]], words: str
) -> None:
    with begun(HANGS.replace("{words}", words)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 6
        assert "ended by force: still running 0.3 s after the signal" in process.stdout.read()


def test_a_process_that_ends_by_itself_is_not_ended() -> None:
    ended: list[int] = []
    before = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(before)
    with TimedShutdown(lambda _: None, limit_s=0.05, exit_process=ended.append) as end:
        end.begin(1)
    threading.Event().wait(0.2)
    assert ended == []
    after = signal.set_wakeup_fd(before)
    assert after == before


def test_whoever_begins_the_end_says_with_which_code() -> None:
    said: list[str] = []
    ended: list[int] = []
    over = threading.Event()

    def end_process(code: int) -> None:
        ended.append(code)
        over.set()

    with TimedShutdown(said.append, limit_s=0.05, exit_process=end_process) as end:
        end.begin(1)
        assert over.wait(PATIENCE_S)
    assert (ended, len(said)) == ([1], 1)


@pytest.mark.parametrize(("said", "output"), [("working(60)", "said"), ("waiting()", "said, cleaned up")])
def test_a_thread_left_at_work_is_not_waited_for(
    begun: Callable[[str], subprocess.Popen[str]], said: str, output: str
) -> None:
    with begun(LEFT.replace("{said}", said)) as process:
        assert process.wait(PATIENCE_S) == 6
        assert process.stdout is not None
        assert process.stdout.read() == output
