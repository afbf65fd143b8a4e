"""Pictures are encoded in a process of the lowest priority, and whatever becomes of it, they are encoded."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgeflow.evidence import encoder as module
from edgeflow.evidence.encoder import Encoder
from edgeflow.evidence.png import encode_png
from tests.support.waiting import wait_until

IMAGE = np.random.default_rng(3).integers(0, 256, (70, 50, 3), dtype=np.uint8)


def children() -> list[int]:
    """Processes that this one has started and that encode."""
    tasks = Path(f"/proc/{os.getpid()}/task").iterdir()
    found = [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
    return [pid for pid in found if b"encoder_process" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def state(pid: int) -> str:
    """The process's state as ``ps`` shows it: T where it stands still."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.fixture
def encoder() -> Iterator[Encoder]:
    made = Encoder()
    yield made
    made.close()
    assert not children()


def test_the_process_encodes_as_the_box_does_at_the_lowest_priority(encoder: Encoder) -> None:
    assert not children()
    assert encoder.encode(IMAGE) == encode_png(IMAGE)
    large = np.tile(IMAGE, (20, 20, 1))
    assert encoder.encode(large[:, ::2]) == encode_png(large[:, ::2])
    (pid,) = children()
    assert os.sched_getscheduler(pid) == os.SCHED_IDLE
    assert os.getpriority(os.PRIO_PROCESS, pid) == 19


def test_a_picture_whose_process_was_killed_is_encoded_here_and_a_new_one_comes_later(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder.encode(IMAGE)
    os.kill(children()[0], signal.SIGKILL)
    assert encoder.encode(IMAGE) == encode_png(IMAGE)
    assert not children()
    assert encoder.encode(IMAGE) == encode_png(IMAGE)
    assert not children(), "one that dies again and again would cost more than it spares"
    monkeypatch.setattr(module.time, "monotonic", lambda: 1e9)
    assert encoder.encode(IMAGE) == encode_png(IMAGE)
    assert len(children()) == 1


def test_a_picture_whose_process_does_not_answer_is_encoded_here(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder.encode(IMAGE)
    monkeypatch.setattr(module, "_LONGEST_S", 0.1)
    os.kill(children()[0], signal.SIGSTOP)
    large = np.tile(IMAGE, (20, 20, 1))  # more than a pipe holds
    assert encoder.encode(large) == encode_png(large)
    assert not children()


def test_without_a_process_pictures_are_encoded_here(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert encoder.encode(IMAGE) == encode_png(IMAGE)


def test_it_stands_still_for_a_part_unless_too_much_waits() -> None:
    waiting = True
    encoder = Encoder(lambda: waiting)
    encoder.pause()
    encoder.resume()
    try:
        encoder.encode(IMAGE)
        (pid,) = children()
        encoder.pause()
        wait_until(lambda: state(pid) == "T")
        encoder.resume()
        wait_until(lambda: state(pid) != "T")
        waiting = False
        encoder.pause()
        assert encoder.encode(IMAGE) == encode_png(IMAGE)
        assert state(pid) != "T"
        assert children() == [pid]
    finally:
        encoder.close()


def test_a_stopped_process_ends_with_its_box() -> None:
    script = (
        "import numpy, time\n"
        "from edgeflow.evidence.encoder import Encoder\n"
        "encoder = Encoder()\n"
        "encoder.encode(numpy.zeros((8, 8, 3), numpy.uint8))\n"
        "encoder.pause()\n"
        "print(encoder._process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as box:
        assert box.stdout is not None
        pid = int(box.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        box.kill()
        wait_until(lambda: not Path(f"/proc/{pid}").exists() or state(pid) == "Z")


def test_it_ends_while_a_picture_is_encoded(encoder: Encoder) -> None:
    encoder.encode(IMAGE)
    os.kill(children()[0], signal.SIGSTOP)
    large, found = np.tile(IMAGE, (20, 20, 1)), []
    asking = threading.Thread(target=lambda: found.append(encoder.encode(large)))
    asking.start()
    wait_until(encoder._asking.locked)
    encoder.close()
    asking.join()
    assert found == [encode_png(large)]


def test_an_interrupt_at_the_terminal_is_the_boxs(encoder: Encoder) -> None:
    encoder.encode(IMAGE)
    (pid,) = children()
    os.kill(pid, signal.SIGINT)
    assert encoder.encode(IMAGE) == encode_png(IMAGE)
    assert children() == [pid]
