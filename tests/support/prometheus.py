"""A real Prometheus that reads one box."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
import yaml

TIMEOUT_S = 60.0


def program(name: str) -> str:
    """A program of the package; without it tests fail in CI, and are skipped elsewhere."""
    found = shutil.which(name)
    if found is None:
        hint = f"no {name} here; install it: sudo apt-get install prometheus"
        if os.environ.get("CI"):
            pytest.fail(hint)
        pytest.skip(hint)
    return found


def free_port() -> int:
    """A free loopback port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Prometheus:
    """Runs with the shipped files while it is entered, but reads one box once a second.

    Args:
        configs: folder with prometheus.yml and its rules.
        port: where the box tells its metrics.
    """

    def __init__(self, folder: Path, configs: Path, port: int) -> None:
        document = yaml.safe_load((configs / "prometheus.yml").read_text())
        document["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        document["scrape_configs"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{port}"]
        document["rule_files"] = [str(configs / name) for name in document["rule_files"]]
        self._folder = folder
        (folder / "prometheus.yml").write_text(yaml.safe_dump(document))
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Prometheus:
        command = [
            program("prometheus"),
            f"--config.file={self._folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
        ]
        with (self._folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        end_s = time.monotonic() + TIMEOUT_S
        while not self._is_ready():
            assert time.monotonic() < end_s, "prometheus does not start"
            assert self._process.poll() is None, (self._folder / "prometheus.log").read_text()
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def ask(self, query: str) -> list[dict[str, Any]]:
        """What a query answers now; an answer that is no number counts as none."""
        found = self._get("query", query=query)["result"]
        return [sample for sample in found if sample["value"][1] != "NaN"]

    def series(self, selector: str) -> list[dict[str, str]]:
        """Labels of all series that a selector matches."""
        return list(self._get("series", **{"match[]": selector}))

    def rules(self) -> list[dict[str, Any]]:
        """Every rule with its health and state."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/-/ready", timeout=5):
                return True
        except OSError:
            return False

    def _get(self, what: str, **parameters: str) -> Any:
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self._port}/api/v1/{what}?{query}", timeout=TIMEOUT_S
        ) as answer:
            return json.loads(answer.read())["data"]
