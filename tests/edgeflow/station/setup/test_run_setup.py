"""A box that is set up: pictures and figures on its socket, no part, no second owner of its cameras."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeflow.commands.control_socket import ask
from edgeflow.commands.watch import watch
from edgeflow.config.box import load_config
from edgeflow.errors import StorageError
from edgeflow.station.setup.run_setup import run_setup
from simulators.small_box import write_box
from simulators.small_bundle import VIEWS
from tests.support.waiting import PATIENCE_S


@pytest.fixture
def box(tmp_path: Path) -> Path:
    return write_box(tmp_path, 1)


@pytest.fixture
def setup(box: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "edgeflow.cli", "run", str(box), "--setup"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "cameras are open" in line:
                break
        yield process
        process.kill()


def test_pictures_and_figures_come_and_nothing_else_is_possible(
    box: Path, setup: subprocess.Popen[str]
) -> None:
    socket = load_config(box).control_socket
    found = {}
    for item in watch(socket):
        found[item["kind"]] = item
        if {"hello", "status", "preview"} <= found.keys():
            break
    assert found["hello"]["results"] == []
    assert found["status"]["status"]["state"] == "PreOperational"
    assert set(found["status"]["status"]["cameras"]) == set(VIEWS)
    assert set(found["preview"]["views"]) == set(VIEWS)
    for view in found["preview"]["views"].values():
        value, least, most = view["figures"]["focus"]
        assert value > 0
        assert least <= most
    answer = ask(socket, "start", {})
    assert (answer["exit_code"], answer["reply"]["outcome"]) == (2, "refused")
    with pytest.raises(StorageError, match="another process uses it"):
        run_setup(box, overrides=(), every_ms=None, ready=pytest.fail)
    setup.send_signal(signal.SIGTERM)
    end_s = time.monotonic() + PATIENCE_S
    assert setup.wait(timeout=end_s - time.monotonic()) == 0
    assert not socket.exists()


def test_without_a_bundle_there_are_pictures_and_figures_alone(box: Path) -> None:
    load_config(box).bundle.unlink()
    command = [sys.executable, "-m", "edgeflow.cli", "run", str(box), "--setup", "--every", "100"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        process.stderr.readline()
        preview = next(item for item in watch(load_config(box).control_socket) if item["kind"] == "preview")
        assert all(len(view["figures"]["focus"]) == 1 for view in preview["views"].values())
        process.terminate()
        assert process.wait(timeout=PATIENCE_S) == 0
