"""A whole box in a moment: the small bundle, two cameras that play a recording again and again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import numpy as np
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from PIL import Image

from simulators.small_bundle import SIDE, VIEWS, small_bundle

ROOT = "edgeflow/v1/plant/l1/s1"


def write_parts(folder: Path, count: int) -> None:
    """One folder per part with one image per view."""
    rng = np.random.default_rng(3)
    for number in range(count):
        (folder / f"part{number}").mkdir(parents=True, exist_ok=True)
        for view in VIEWS:
            Image.fromarray(rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)).save(
                folder / f"part{number}" / f"{view}.png"
            )


def write_box(
    folder: Path, port: int, signer: Ed25519PrivateKey | None = None, **changes: dict[str, Any]
) -> Path:
    """``box.yaml``; its bundle is a link to one.bundle (version 1); two.bundle (version 2) lies beside."""
    bundles = folder / "bundles"
    if not bundles.exists():
        bundles.mkdir()
        small_bundle(bundles / "one.bundle", signer=signer, version=1)
        small_bundle(bundles / "two.bundle", signer=signer, version=2)
        (bundles / "current.bundle").symlink_to("one.bundle")
        write_parts(folder / "parts", 4)
    document: dict[str, Any] = {
        "station": {"site": "plant", "line": "l1", "station": "s1"},
        "bundle": "bundles/current.bundle",
        "trust": {},
        "trigger": {"source": "interval", "period_ms": 200, "timeout_ms": 2000},
        "cameras": {view: {"kind": "replay", "parts": "parts", "loop": True} for view in VIEWS},
        "sync": {"max_skew_ms": 2000},
        "decision": {"deadline_ms": 10_000},
        "runtime": {"backend": "onnxruntime", "threads": 1},
        "mqtt": {"host": "127.0.0.1", "port": port},
        "outbox": {"path": "state/outbox.db", "confirm": "broker"},
        "evidence": {"dir": "evidence", "min_free_gb": 0},
        "commands": {"allow": ["start", "stop", "reset", "snapshot", "reload", "rollback"]},
    }
    for key, change in changes.items():
        document[key] = {**document.get(key, {}), **change}
    path = folder / "box.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def start_box(path: Path, *options: str, out: IO[str] | int = subprocess.PIPE) -> subprocess.Popen[str]:
    """A running box; what it prints goes to ``out``."""
    return subprocess.Popen(
        [sys.executable, "-m", "edgeflow.cli", "run", str(path), "--json", *options],
        stdout=out,
        stderr=out,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )


def ctl(path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edgeflow.cli", "ctl", str(path), *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
