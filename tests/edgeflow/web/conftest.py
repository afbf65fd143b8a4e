"""A running box and its page, as processes of their own, and a browser where there is one."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from simulators.small_box import start_box, write_box

PATIENCE_S = 90.0
CSRF = "x-csrf-token"


class Page:
    """A page in its own process, and a client for it."""

    def __init__(self, box: Path, *options: str, trusted: Path | None = None) -> None:
        command = [sys.executable, "-m", "edgeflow.cli", "web", str(box), "--listen", "127.0.0.1:0", "--json"]
        self.process = subprocess.Popen(
            [*command, *options], stdout=subprocess.PIPE, text=True, env={**os.environ, "LC_ALL": "C.UTF-8"}
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the page did not start"
        self.address: str = json.loads(line)["address"]
        verify = ssl.create_default_context(cafile=trusted) if trusted else True
        self.client = httpx.Client(base_url=self.address, timeout=30, trust_env=False, verify=verify)

    def csrf(self) -> dict[str, str]:
        """The header with the token that a page carries."""
        text = self.client.get("/line").text
        return {CSRF: text.split('{"X-CSRF-Token": "')[1].split('"')[0]}

    def close(self) -> None:
        self.client.close()
        self.process.terminate()
        self.process.communicate(timeout=20)


@contextmanager
def served(box: Path, *options: str, trusted: Path | None = None) -> Iterator[Page]:
    page = Page(box, *options, trusted=trusted)
    try:
        yield page
    finally:
        page.close()


def wait_until(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end_s, "nothing happened for a long time"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The box file of a box that runs without a broker."""
    folder = tmp_path_factory.mktemp("box")
    path = write_box(folder, 1)
    with (folder / "box.log").open("w") as log:
        process = start_box(path, "--quiet", out=log)
        try:
            wait_until((folder / "state" / "outbox.sock").exists)
            yield path
        finally:
            process.terminate()
            process.wait(timeout=30)


@pytest.fixture(scope="module")
def page(box: Path) -> Iterator[Page]:
    """The page of the running box, without users."""
    with served(box) as page:
        wait_until(lambda: 'class="state ContinuousExecution"' in page.client.get("/line").text)
        wait_until(lambda: "/line/picture/" in page.client.get("/line").text)
        yield page
