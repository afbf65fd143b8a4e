"""Cost of masks, measured on the demo with a small network in MVANet's place."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as op

SIDE = 64


@pytest.fixture
def foreground(tmp_path: Path) -> Path:
    """A folder as ``edgeflow export --only foreground`` writes it: bright pixels are foreground."""
    images = op.parameter([1, SIDE, SIDE, 3], np.uint8, "images")
    light = op.reduce_mean(op.convert(images, "f32"), op.constant(np.array([3])))
    logits = op.subtract(light, np.float32(60))
    logits.output(0).get_tensor().set_names({"foreground"})
    ov.save_model(ov.Model([op.result(logits)], [images]), tmp_path / "f.xml", compress_to_fp16=False)
    form = {
        "backend": "openvino",
        "precision": "fp32",
        "files": {"f.xml": "", "f.bin": ""},
        "input": {"name": "images", "dtype": "uint8", "shape": [1, SIDE, SIDE, 3]},
        "outputs": [{"name": "foreground", "dtype": "float32", "shape": [1, SIDE, SIDE]}],
        "measured_error": 0.0,
    }
    (tmp_path / "foreground.json").write_text(json.dumps({"forms": [form]}))
    return tmp_path


def test_normal_and_rejected_parts_are_timed_with_every_foreground(
    repository: Path, foreground: Path
) -> None:
    demo = repository / "tools" / "demo"
    command = [sys.executable, "-m", "benchmarks.foreground"]
    command += [str(demo / "housing.bundle"), str(demo / "parts"), str(foreground), "--each", "3", "--json"]
    done = subprocess.run(
        command, cwd=repository / "tools", capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    name = f"MVANet {SIDE} fp32"
    for kind in ("normal", "rejected"):
        assert list(found[kind]) == ["none", "distilled", name]
        assert {row["parts"] for row in found[kind].values()} == {3}
        assert found[kind]["none"]["ratio"] == 1
        assert [found[kind][other]["masks_most"] for other in ("none", "distilled")] == [0, 0]
    assert found["rejected"][name]["masks_mean"] >= 1  # no part is rejected without one
