"""A graph that passes every inspection, yet takes all memory or has no end: refused, from outside."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from onnx import helper

from edgeflow.backends.runner import Placement
from edgeflow.bundles.bundle import Bundle
from edgeflow.errors import DeviceError, IntegrityError, ParityError
from edgeflow.scoring.isolated_verification import ResourceLimits, verify_in_subprocess
from edgeflow.scoring.verification_process import NICENESS
from simulators.small_bundle import colour_mean, small_bundle


def test_what_is_right_is_proven_as_in_this_process(tmp_path: Path) -> None:
    with Bundle.open(small_bundle(tmp_path / "b")) as bundle:
        (check,) = verify_in_subprocess(bundle, bundle.manifest.graphs[0])
    assert (check.graph, check.part_id) == ("onnxruntime-fp32", "p1")
    assert check.error < 1e-6


def test_graph_that_takes_more_memory_than_allowed_is_refused(tmp_path: Path) -> None:
    """Every operator is allowed, and nothing of the 3 GB of padding is in the file."""
    padded = colour_mean(
        helper.make_node("Constant", [], ["pads"], value_ints=[0, 0, 0, 0, 20_000, 20_000]),
        helper.make_node("Pad", ["mean", "pads"], ["padded"]),
        helper.make_node("ReduceMax", ["padded"], ["highest"], keepdims=1),
        helper.make_node("Mul", ["mean", "highest"], ["maps"]),
    )
    padded.graph.node[1].output[0] = "mean"
    path = small_bundle(tmp_path / "b", model=padded.SerializeToString())
    limits = ResourceLimits(memory_bytes=250_000_000)
    with (
        Bundle.open(path) as bundle,
        pytest.raises(IntegrityError, match=r"needs more than 0\.2 GB of memory") as caught,
    ):
        verify_in_subprocess(bundle, bundle.manifest.graphs[0], limits=limits)
    assert caught.value.exit_code == 5


def test_graph_that_is_not_ready_in_time_is_refused(tmp_path: Path) -> None:
    with Bundle.open(small_bundle(tmp_path / "b")) as bundle:
        graph = bundle.manifest.graphs[0]
        with pytest.raises(IntegrityError, match="was not ready after 0 s"):
            verify_in_subprocess(bundle, graph, limits=ResourceLimits(seconds=0.05))


def test_verification_has_a_lower_priority_than_this_process(tmp_path: Path) -> None:
    """A line that inspects parts while a bundle is proven comes first."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    seen = {before}
    with Bundle.open(small_bundle(tmp_path / "b")) as bundle, ThreadPoolExecutor(1) as pool:
        proof = pool.submit(verify_in_subprocess, bundle, bundle.manifest.graphs[0])
        while not proof.done():
            seen |= _priorities_of_children()
            time.sleep(0.005)
    assert proof.result()
    assert max(seen) == min(before + NICENESS, 19)
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


def _priorities_of_children() -> set[int]:
    priorities = set()
    for task in Path("/proc/self/task").iterdir():
        try:
            children = (task / "children").read_text().split()
            priorities |= {os.getpriority(os.PRIO_PROCESS, int(child)) for child in children}
        except (OSError, ProcessLookupError):
            continue  # a thread or child that ended meanwhile
    return priorities


def test_errors_keep_their_kind(tmp_path: Path) -> None:
    with Bundle.open(small_bundle(tmp_path / "b")) as bundle:
        graph = bundle.manifest.graphs[0]
        with pytest.raises(DeviceError, match="'NPU' is not on this machine"):
            verify_in_subprocess(bundle, graph, placement=Placement(device="NPU"))
    other = colour_mean()
    other.graph.node[1].op_type = "ReduceMax"
    path = small_bundle(tmp_path / "c", model=other.SerializeToString())
    with Bundle.open(path) as bundle, pytest.raises(ParityError, match="does not compute") as caught:
        verify_in_subprocess(bundle, graph)
    assert len(caught.value.problems) == 1


def test_bundle_that_is_exchanged_meanwhile_is_refused(tmp_path: Path) -> None:
    with Bundle.open(small_bundle(tmp_path / "b")) as bundle:
        small_bundle(tmp_path / "b", name="another")
        with pytest.raises(IntegrityError, match="exchanged"):
            verify_in_subprocess(bundle, bundle.manifest.graphs[0])
