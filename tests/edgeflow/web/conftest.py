"""A running box and its page, as processes of their own, and a browser where there is one."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from edgeflow.config.box import BoxConfig, load_config
from edgeflow.history.database.store import HistoryStore
from edgeflow.history.records import HistoryEntry
from edgeflow.run_time import read_boot
from edgeflow.web.app import make_app
from edgeflow.web.box_link import BoxLink
from edgeflow.web.settings import page_settings
from simulators.results import simulated_result
from simulators.small_box import start_box, write_box
from tests.support.waiting import PATIENCE_S, wait_until

NAMES = ["=cmd|' /C calc'!A0", "Größe 7", "../../etc/passwd", "<script>alert(1)</script>", "x" * 4096, "P 5"]
SCORES = [0.3, 1.05, 1.6, 0.4, 0.95, 0.2]

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
        self.client = httpx.Client(base_url=self.address, timeout=PATIENCE_S, trust_env=False, verify=verify)

    def csrf(self) -> dict[str, str]:
        """The header with the token that a page carries."""
        text = self.client.get("/line").text
        return {CSRF: text.split('{"X-CSRF-Token": "')[1].split('"')[0]}

    def close(self) -> None:
        self.client.close()
        self.process.terminate()
        self.process.communicate(timeout=120)


@contextmanager
def served(box: Path, *options: str, trusted: Path | None = None) -> Iterator[Page]:
    page = Page(box, *options, trusted=trusted)
    try:
        yield page
    finally:
        page.close()


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
            process.wait(timeout=120)


@pytest.fixture(scope="module")
def page(box: Path) -> Iterator[Page]:
    """The page of the running box, without users."""
    with served(box) as page:
        wait_until(lambda: 'class="state ContinuousExecution"' in page.client.get("/line").text)
        wait_until(lambda: "/line/picture/" in page.client.get("/line").text)
        yield page


@pytest.fixture
def config(tmp_path: Path) -> BoxConfig:
    """A box file whose history has six parts of yesterday and today, all with pictures."""
    config = load_config(write_box(tmp_path, 1))
    assert config.evidence is not None
    boot = read_boot()
    config.history_path.parent.mkdir(parents=True, exist_ok=True)
    store = HistoryStore(config.history_path, boot)
    now = datetime.now(UTC)
    entries = []
    for number, (name, score) in enumerate(zip(NAMES, SCORES, strict=True)):
        at = now - timedelta(minutes=60 - number)
        folder = config.evidence.dir / "day" / f"session-{number:06d}"
        folder.mkdir(parents=True)
        for view in ("C1", "C2"):
            Image.new("RGB", (32, 24), (90, 90, 90)).save(folder / f"{view}.png")
            Image.new("RGB", (32, 24), (90, 30, 30)).save(folder / f"{view}_heat.png")
            np.save(folder / f"{view}_map.npy", np.full((6, 8), score, np.float32))
        result = simulated_result(number, at, {"C1": score, "C2": score}).model_copy(
            update={"part_id": name, "evidence": str(folder)}
        )
        entries.append(HistoryEntry(result=result, bundle_version=1, has_foreground=False, kept="sample"))
    store.write(entries, [], boot)
    store.close()
    return config


@pytest.fixture
def client(config: BoxConfig) -> Iterator[TestClient]:
    app = make_app(page_settings(config), BoxLink(config.control_socket))
    with TestClient(app, base_url="http://127.0.0.1:8088", raise_server_exceptions=False) as client:
        yield client


def token(client: TestClient) -> dict[str, str]:
    return {"x-csrf-token": client.get("/line").text.split('{"X-CSRF-Token": "')[1].split('"')[0]}
