"""Modbus TCP beside a real box, read by mbpoll (libmodbus): registers, refusals, the gate without a box."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pytest

from simulators.small_box import start_box, write_box
from tests.support.served import end
from tests.support.waiting import wait_until

GATE, BEAT, ANSWERS, READY, STATE, VERDICT, SEQUENCE, PART = 1, 2, 3, 4, 5, 6, 9, 11
CLIENTS = 3


@dataclass(frozen=True, kw_only=True)
class Served:
    """A running box with its Modbus server."""

    box: Path
    port: int
    process: subprocess.Popen[str]

    def mbpoll(self, *words: str) -> str:
        command = ["mbpoll", "-0", "-1", "-a", "1", "-p", str(self.port), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def registers(self) -> list[int]:
        answer = self.mbpoll("-t", "3", "-r", "0", "-c", "20", "127.0.0.1")
        return [int(value) for value in re.findall(r"^\[\d+\]:\s+(\d+)", answer, re.MULTILINE)]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    if shutil.which("mbpoll") is None:
        pytest.skip("no mbpoll: install Debian's mbpoll")
    box = write_box(tmp_path, 1, modbus={"listen": "127.0.0.1:0", "clients": CLIENTS})
    with (tmp_path / "box.log").open("a") as log:
        process = start_box(box, "--quiet", out=log)
        command = [sys.executable, "-m", "edgeflow.cli", "modbus", str(box), "--json"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert server.stdout is not None
            port = int(json.loads(server.stdout.readline())["address"].rpartition(":")[2])
            served = Served(box=box, port=port, process=process)
            wait_until(lambda: served.registers()[VERDICT] == 1)
            yield served
        finally:
            end(process, server)


def test_a_plc_reads_the_latest_part_and_writes_nothing(served: Served) -> None:
    words = served.registers()
    assert len(words) == 20
    assert (words[0], words[ANSWERS], words[READY], words[STATE], words[VERDICT]) == (1, 1, 1, 5, 1)
    assert words[PART] in range(4)
    wait_until(lambda: served.registers()[SEQUENCE] > words[SEQUENCE])
    wait_until(lambda: served.registers()[GATE] == 1)
    assert served.registers()[BEAT] != words[BEAT]
    holding = served.mbpoll("-t", "4", "-r", "0", "-c", "1", "127.0.0.1")
    assert re.search(r"^\[0\]:\s+1$", holding, re.MULTILINE)
    for table, value in (("4", "1"), ("0", "1")):
        assert "Illegal function" in served.mbpoll("-t", table, "-r", "1", "127.0.0.1", value)
    assert "Illegal data address" in served.mbpoll("-t", "3", "-r", "15", "-c", "6", "127.0.0.1")


def test_requests_that_come_together_are_all_answered_in_order(served: Served) -> None:
    """A gateway asks for several blocks at once; a request may also come in pieces."""

    def request(number: int, function: int) -> bytes:
        return struct.pack(">HHHBBHH", number, 0, 6, 1, function, 0, 1)

    with closing(socket.create_connection(("127.0.0.1", served.port))) as plc:
        plc.settimeout(60)
        plc.sendall(request(1, 4) + request(2, 3) + request(3, 6) + request(4, 99) + request(5, 4)[:7])
        plc.sendall(request(5, 4)[7:])
        with plc.makefile("rb") as answers:
            found = [(number, *answers.read(length)[1:]) for number, length in _heads(answers, 5)]
    assert found == [(1, 4, 2, 0, 1), (2, 3, 2, 0, 1), (3, 134, 1), (4, 128, 1), (5, 4, 2, 0, 1)]


def test_a_client_that_speaks_something_else_is_cut(served: Served) -> None:
    for odd in (b"GET / HTTP/1.1\r\n\r\n", struct.pack(">HHHBBHH", 1, 0, 6, 1, 4, 0, 1) * 17):
        with closing(socket.create_connection(("127.0.0.1", served.port))) as other:
            other.settimeout(60)
            with suppress(ConnectionResetError):
                other.sendall(odd)
                assert other.recv(1) == b""
    assert len(served.registers()) == 20


def _heads(answers: BinaryIO, count: int) -> Iterator[tuple[int, int]]:
    """Transaction and length of each answer."""
    for _ in range(count):
        number, _, length = struct.unpack(">HHH", answers.read(6))
        yield number, length


def test_clients_beyond_the_bound_nonsense_and_floods_cost_the_others_nothing(served: Served) -> None:
    with ExitStack() as stack:
        flood = stack.enter_context(closing(socket.create_connection(("127.0.0.1", served.port))))
        flood.setblocking(False)
        request = struct.pack(">HHHBBHH", 1, 0, 6, 1, 4, 0, 20)
        for _ in range(2000):  # asks and asks, and reads nothing
            try:
                flood.send(request * 20)
            except BlockingIOError:
                time.sleep(0.001)
            except OSError:
                break
        nonsense = stack.enter_context(closing(socket.create_connection(("127.0.0.1", served.port))))
        nonsense.sendall(os.urandom(4096))
        assert len(served.registers()) == 20
        others = [
            stack.enter_context(closing(socket.create_connection(("127.0.0.1", served.port))))
            for _ in range(2 * CLIENTS)
        ]
        others[-1].settimeout(10)
        assert others[-1].recv(1) == b""
    wait_until(lambda: len(served.registers()) == 20)


def test_the_gate_rejects_once_the_box_is_killed(served: Served) -> None:
    wait_until(lambda: served.registers()[GATE] == 1)
    os.kill(served.process.pid, signal.SIGKILL)
    killed_s = time.monotonic()
    wait_until(lambda: served.registers()[ANSWERS] == 0)
    print(f"known after {time.monotonic() - killed_s:.2f} s")
    assert served.registers()[GATE : VERDICT + 1 : 2] == [0, 0, 0]


def test_the_gate_rejects_while_the_box_stands_still_and_opens_for_the_next_part(served: Served) -> None:
    wait_until(lambda: served.registers()[GATE] == 1)
    os.kill(served.process.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: served.registers()[ANSWERS] == 0)
        assert served.registers()[GATE] == 0
    finally:
        os.kill(served.process.pid, signal.SIGCONT)
    wait_until(lambda: served.registers()[GATE] == 1)
