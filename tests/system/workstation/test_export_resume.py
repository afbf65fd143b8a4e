"""An export that is killed and started again: it takes over what it had, and gives the very same bundle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgeflow.bundles.bundle import Bundle
from tests.support.tiny import TinyProduct, search_path


@pytest.mark.timeout(900)  # two exports and, where it comes first, the tiny product's own
def test_killed_export_goes_on_and_gives_the_same_bytes(tiny: TinyProduct, tmp_path: Path) -> None:
    target = tmp_path / "disc.bundle"
    command = [sys.executable, "-m", "edgeflow.cli", "export", str(tiny.checkpoint), "-o", str(target)]
    environment = {**os.environ, "PYTHONPATH": search_path(), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    ) as p:
        kept = tmp_path / "cache" / "edgeflow" / "export"
        until = time.monotonic() + 300
        while len(list(kept.glob("*.npz"))) < 3:
            assert p.poll() is None, "it ended before it was killed"
            assert time.monotonic() < until
            time.sleep(0.02)
        p.send_signal(signal.SIGKILL)
    assert not target.exists()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=400)
    assert done.returncode == 0, done.stderr
    assert "taken over from an earlier export: ONNX graph of the maps" in done.stderr
    assert "taken over from an earlier export: maps of 25 parts by openvino-fp32" in done.stderr
    with Bundle.open(target) as again, Bundle.open(tiny.bundle) as whole:
        files = again.manifest.files
        assert [name for name in files if files[name] != whole.manifest.files.get(name)] == []
    assert target.read_bytes() == tiny.bundle.read_bytes()
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["disc.bundle"]
