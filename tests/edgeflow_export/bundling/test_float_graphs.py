"""The errors that float graphs may have, and the refusal of larger ones."""

from __future__ import annotations

import numpy as np
import pytest

from edgeflow.contracts.manifest import Tensor
from edgeflow.errors import ParityError
from edgeflow_export.bundling.float_graphs import largest_error, replay_tolerance, verified_error
from edgeflow_export.conversion.candidate_graphs import CandidateGraph
from edgeflow_export.conversion.onnx_and_ir import Tensors
from edgeflow_export.recipe import ExportSpec

SPEC = ExportSpec(tolerance_fp32=0.001, tolerance_int8=0.1, tolerance_replay=0.05)
EXPECTED = np.ones((2, 1, 4, 4), np.float32)


def graph(precision: str) -> CandidateGraph:
    tensor = Tensor(name="maps", shape=(1, 4, 4), dtype="float32")
    tensors = Tensors(input=tensor, outputs=(tensor,))
    return CandidateGraph(backend="openvino", precision=precision, files={}, tensors=tensors)


def test_error_is_that_of_the_worst_part() -> None:
    maps = EXPECTED.copy()
    maps[1, 0, 0, 0] += 0.5
    assert largest_error(maps, EXPECTED) > 0.1
    assert largest_error(maps[:1], EXPECTED) == 0


def test_only_the_first_parts_that_torch_computed_are_compared() -> None:
    maps = np.concatenate([EXPECTED, EXPECTED + 9])
    assert verified_error(SPEC, graph("fp32"), maps, EXPECTED) == 0


def test_fp32_graph_over_its_tolerance_is_refused_with_the_key_of_the_recipe() -> None:
    with pytest.raises(ParityError, match=r"openvino-fp32: maps differ .*\(export\.tolerance_fp32\)"):
        verified_error(SPEC, graph("fp32"), EXPECTED * np.float32(1.01), EXPECTED)


def test_error_that_is_no_number_is_refused() -> None:
    with pytest.raises(ParityError):
        verified_error(SPEC, graph("fp32"), EXPECTED * np.float32(np.nan), EXPECTED)


def test_replay_of_a_reduced_graph_has_a_tolerance_of_its_own() -> None:
    assert replay_tolerance(SPEC, graph("fp32")) == 0.001
    assert replay_tolerance(SPEC, graph("bf16")) == replay_tolerance(SPEC, graph("int8")) == 0.05
