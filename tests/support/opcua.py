"""A running box with its OPC UA server, and an independent client (node-opcua)."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeflow.config.box import load_config
from edgeflow.opcua.clients.trust_list import trust_refused
from edgeflow.security.users import add_user
from simulators.opcua_client import CLIENT_URI, NodeOpcUa, client_certificate
from simulators.small_box import ctl, start_box
from tests.support.served import end
from tests.support.waiting import PATIENCE_S

__all__ = [
    "AUTOMATIC", "NONE", "OWN", "PASSWORD", "VISION", "Served", "call", "edgeflow", "listing", "number",
    "read", "serving", "text", "until",
]  # fmt: skip

PASSWORD = "correct-horse-1"  # noqa: S105

OWN, VISION = "ns=3;s=Inspection", "ns=3;s=VisionSystem"
AUTOMATIC = f"{VISION}.VisionStateMachine.AutomaticModeStateMachine"
NONE: dict[str, Any] = {"structure": "ns=2;i=3004"}


@dataclass(frozen=True, kw_only=True)
class Served:
    """A running box with its server.

    Attributes:
        log: of the server.
    """

    box: Path
    node: NodeOpcUa
    address: str
    log: Path
    process: subprocess.Popen[str]
    server: subprocess.Popen[str]

    @property
    def folder(self) -> Path:
        return self.box.parent / "state" / "opcua"

    def job(
        self, *steps: dict[str, Any], user: str = "vera", name: str = "known", **more: Any
    ) -> dict[str, Any]:
        return {
            "endpoint": self.address,
            "uri": CLIENT_URI,
            "certificate": str(self.box.parent / f"{name}.pem"),
            "key": str(self.box.parent / f"{name}.key.pem"),
            "folder": str(self.box.parent / "pki"),
            "user": user,
            "password": PASSWORD,
            "steps": list(steps),
        } | more

    def answers(self, *steps: dict[str, Any], **more: Any) -> list[Any]:
        lines = self.node.run(self.job(*steps, **more))
        assert [line for line in lines if "error" in line] == []
        return [line["answer"] for line in lines]

    def refusal(self, *steps: dict[str, Any], **more: Any) -> str:
        lines = self.node.run(self.job(*steps, **more))
        assert [line["step"] for line in lines] == ["failed"], lines
        return str(lines[0]["error"])


def edgeflow(*words: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edgeflow.cli", *words],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )


@contextmanager
def serving(box: Path, node: NodeOpcUa) -> Iterator[Served]:
    """Start the box and its server, with the viewer vera, the operator olga, and a client that is trusted."""
    folder, config = box.parent, load_config(box)
    add_user(config.web_users_path, "vera", "viewer", PASSWORD)
    done = edgeflow("opcua", str(box), "--add-user", "olga", "--role", "operator", text=f"{PASSWORD}\n")
    assert done.returncode == 0, done.stderr
    client_certificate(folder, "known")
    trust_refused(config.opcua_path, str(folder / "known.pem"))
    log = folder / "opcua.log"
    with log.open("a") as errors, (folder / "box.log").open("a") as box_log:
        process = start_box(box, "--quiet", out=box_log)
        server = subprocess.Popen(
            [sys.executable, "-m", "edgeflow.cli", "opcua", str(box), "--json"],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            assert line, log.read_text()
            served = Served(
                box=box,
                node=node,
                address=json.loads(line)["address"],
                log=log,
                process=process,
                server=server,
            )
            wait_for_parts(served)
            yield served
        finally:
            end(process, server)


def wait_for_parts(served: Served) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while '"ContinuousExecution"' not in ctl(served.box, "status", "--json").stdout:
        assert time.monotonic() < end_s, (served.box.parent / "box.log").read_text()
        time.sleep(0.5)
    time.sleep(1)


def call(path: str, method: str, *arguments: dict[str, Any]) -> dict[str, Any]:
    return {"do": "call", "object": path, "method": f"{path}.{method}", "arguments": list(arguments)}


def read(*nodes: str) -> dict[str, Any]:
    return {"do": "read", "nodes": list(nodes)}


def until(state: str) -> dict[str, Any]:
    """Wait for a state: a loaded computer may keep a box silent for a second."""
    return {"do": "until", "node": f"{AUTOMATIC}.CurrentState", "value": state}


def number(kind: str, value: int) -> dict[str, Any]:
    return {"type": kind, "value": value}


def listing(most: int) -> list[dict[str, Any]]:
    """Arguments of ``GetResultListFiltered``: no filter, the newest ones."""
    page = [number("UInt32", most), number("UInt32", 0), number("Int32", 0)]
    return [number("Int32", 0), *[NONE] * 8, *page]


def text(value: str) -> dict[str, Any]:
    return {"type": "String", "value": value}
