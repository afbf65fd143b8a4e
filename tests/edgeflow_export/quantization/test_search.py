"""INT8 within the budgets: as much as they allow, the most sensitive convolutions back in float first."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import onnx
import pytest
import torch

from edgeflow.backends.openvino.bf16 import computes_in_bf16
from edgeflow.calibration.thresholds import calibrate
from edgeflow.contracts.parity import relative_error
from edgeflow.errors import AccuracyError
from edgeflow_export.checkpoints.checkpoint import load_checkpoint
from edgeflow_export.conversion.candidate_graphs import OnnxSource, draft_onnx
from edgeflow_export.conversion.int8.layers import find_layers
from edgeflow_export.conversion.int8.onnx_graph import OnnxGraph
from edgeflow_export.conversion.job import ExportJob
from edgeflow_export.conversion.onnx_and_ir import FOREGROUND, MAPS
from edgeflow_export.conversion.rewriting import rewrite
from edgeflow_export.data.dataset import iterate_images, load_dataset
from edgeflow_export.data.ground_truth import load_ground_truth
from edgeflow_export.models.mask_head import MaskHead
from edgeflow_export.quantization.kept_layers import GIVE_BACK
from edgeflow_export.quantization.ranking_loss import MASK_SIDE
from edgeflow_export.quantization.search import Fp32Reference, Reduced, SearchBudget, reduce_precision
from edgeflow_export.quantization.trial import GraphTrial
from tests.support import tiny as tiny_product
from tests.support.tiny import SIZE, VIEWS, TinyProduct

EXAMPLE = torch.zeros((len(VIEWS), SIZE, SIZE, 3), dtype=torch.uint8)


@contextmanager
def silent(_name: str) -> Iterator[None]:
    yield


@dataclass(frozen=True)
class Line:
    """A trained model exported to fp32, ready to be quantized."""

    job: ExportJob
    source: OnnxSource
    trial: GraphTrial
    fp32: Fp32Reference

    def reduced(
        self, backend: str = "openvino", effort: SearchBudget | None = None, **budget: object
    ) -> tuple[Reduced | None, str | None]:
        found, note = self.all_reduced(backend, effort, **budget)
        return next((graph for graph in found if graph.draft.precision == "int8"), None), note

    def all_reduced(
        self, backend: str = "openvino", effort: SearchBudget | None = None, **budget: object
    ) -> tuple[tuple[Reduced, ...], str | None]:
        recipe = self.job.model.recipe
        recipe = recipe.model_copy(update={"export": recipe.export.model_copy(update=budget)})
        job = replace(self.job, model=replace(self.job.model, recipe=recipe))
        return reduce_precision(job, self.source, backend, self.trial, self.fp32, effort)

    def error(self, found: Reduced) -> float:
        assert found.report.map_error is not None
        return found.report.map_error


@pytest.fixture(scope="module")
def line(tiny: TinyProduct, tmp_path_factory: pytest.TempPathFactory) -> Line:
    with tiny_product.tests_on_path():
        model = load_checkpoint(tiny.checkpoint)
        data = load_dataset(model.recipe)
    folder = tmp_path_factory.mktemp("line")
    job = ExportJob(model=model, data=data, stage=silent, folder=folder)
    source = draft_onnx(rewrite(model.module), EXAMPLE, (MAPS,), job)
    trial = GraphTrial(
        parts=job.parts,
        data=data,
        scoring=model.scoring("statistics"),
        statistics=job.statistics,
        held_out=len(data.validation),
    )
    (draft,) = source.drafts(("openvino",), ("fp32",))
    scored = trial.score(draft)
    normal = len(data.validation)
    scale = calibrate(scored.parts[:normal], scored.views[:normal], VIEWS, 0.05).part
    return Line(job, source, trial, Fp32Reference(draft=draft, scored=scored, scale=scale))


def test_everything_is_quantized_where_the_budgets_hold(line: Line) -> None:
    found, note = line.reduced()
    assert found is not None
    assert note is None
    assert (found.report.quantized, found.report.steps) == ("all convolutions", ())
    assert found.report.verdict_flips <= 0.1 * found.report.parts  # export.max_flip_rate


def test_over_budget_the_most_sensitive_convolutions_go_back_to_float(line: Line) -> None:
    everything, _ = line.reduced("onnxruntime")
    assert everything is not None
    allowed = 0.6 * line.error(everything)
    found, note = line.reduced("onnxruntime", tolerance_int8=allowed)
    assert found is not None
    assert note is None
    assert found.draft.id == "onnxruntime-int8"
    assert line.error(found) <= allowed
    assert found.report.quantized.startswith("all convolutions but ")
    assert found.report.steps[0].startswith("all convolutions: ")
    assert "export.tolerance_int8" in found.report.steps[0]
    assert len(found.report.steps) <= 1 + math.ceil(math.log2(len(line.source.groups()))) + GIVE_BACK


def test_without_any_int8_within_budget_the_reader_is_told_why(line: Line) -> None:
    found, note = line.reduced("onnxruntime", tolerance_int8=1e-9)
    assert found is None
    assert note is not None
    assert note.startswith("onnxruntime: fp32 only instead of int8; all convolutions: ")
    assert note.count("export.tolerance_int8") >= 2  # all of it in INT8, then less of it


def test_recipe_that_requires_int8_gets_an_error_instead(line: Line) -> None:
    with pytest.raises(AccuracyError, match=r"export.int8_required is true; nothing was written") as caught:
        line.reduced("onnxruntime", tolerance_int8=1e-9, int8_required=True)
    assert caught.value.exit_code == 4
    assert len(caught.value.problems) >= 2


def test_a_large_graph_is_calibrated_on_fewer_parts_and_the_report_says_so(
    line: Line,
) -> None:
    effort = SearchBudget(calibration=3.5 * line.source.macs())
    found, _ = line.reduced(effort=effort)
    assert found is not None
    assert found.report.steps[0].startswith("calibrated on 3 parts, not on 8")


def test_convolutions_of_an_ir_that_are_kept_are_as_they_were(line: Line) -> None:
    groups = line.source.groups()
    images = iterate_images(line.job.data.training[:2], line.job.data)
    quantizer = line.source.quantizer("openvino", images)
    maps = {kept: line.trial.score(quantizer(groups[:kept])).maps for kept in (0, len(groups))}
    assert relative_error(maps[0], line.fp32.scored.maps) > 1e-4
    assert relative_error(maps[len(groups)], line.fp32.scored.maps) < 1e-5  # nothing of INT8 is left


def test_bf16_stands_beside_int8_where_the_recipe_names_it_and_costs_no_bytes(line: Line) -> None:
    if not computes_in_bf16():
        pytest.skip("this processor does not compute in bf16")
    found, note = line.all_reduced("openvino", precisions=("fp32", "int8", "bf16"))
    assert [graph.draft.id for graph in found] == ["openvino-int8", "openvino-bf16"]
    assert note is None
    assert found[1].draft.files == line.fp32.draft.files
    assert found[1].report.quantized == ""


def test_graph_is_judged_by_the_pixels_of_defects_where_they_are_known(line: Line) -> None:
    truth = load_ground_truth(line.job.data, (MASK_SIDE, MASK_SIDE))
    judged = replace(line, fp32=replace(line.fp32, truth=truth))
    found, _ = judged.reduced()
    assert found is not None
    report = found.report
    assert report.aupro is not None
    assert report.aupro_drop is not None
    assert report.aupro_drop.low <= report.aupro_reference - report.aupro <= report.aupro_drop.high
    assert report.unmeasured == ()


def test_at_most_half_of_the_convolutions_go_back_to_float(line: Line) -> None:
    groups = {group.name: len(group.members) for group in line.source.groups()}
    told: list[str] = []

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        told.append(name)
        yield

    replace(line, job=replace(line.job, stage=stage)).reduced("openvino", tolerance_int8=1e-9)
    tried = [name for name in told if name.startswith("quantizing all convolutions but ")]
    assert tried
    for name in tried:
        in_float = sum(count for group, count in groups.items() if group in name)
        assert 2 * in_float <= sum(groups.values())


def test_every_layer_is_in_one_group_and_the_foreground_head_in_its_own(line: Line, tmp_path: Path) -> None:
    module = line.job.model.module
    headed = rewrite(module)
    headed.mask_head = MaskHead(8, (len(VIEWS), 8, 8)).eval()
    source = draft_onnx(headed, EXAMPLE, (MAPS, FOREGROUND), replace(line.job, folder=tmp_path))
    places = [layer.place for layer in find_layers(OnnxGraph(onnx.load(source.path)))]
    groups = source.groups()
    assert sorted(member for group in groups for member in group.members) == places
    members = {group.name: len(group.members) for group in groups}
    assert {"flow block 1", "flow block 2", "foreground head", "extractor part 3 of 3"} < set(members)


def test_convolutions_that_are_kept_stay_as_they_were(line: Line) -> None:
    groups = line.source.groups()
    parts = line.job.data.training[:2]
    draft = line.source.quantized("onnxruntime", iterate_images(parts, line.job.data), groups[1:])
    graph = onnx.load_from_string(next(iter(draft.files.values()))).graph
    made_by = {name: node.op_type for node in graph.node for name in node.output}
    quantized = [
        made_by.get(node.input[1]) == "DequantizeLinear" for node in graph.node if node.op_type == "Conv"
    ]
    assert sum(quantized) == len(groups[0].members)


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_less_in_int8_is_closer_to_fp32(line: Line, backend: str) -> None:
    groups = line.source.groups()
    errors = []
    for kept in (groups[1:], ()):
        images = iterate_images(line.job.data.training[:2], line.job.data)
        maps = line.trial.score(line.source.quantized(backend, images, kept)).maps
        errors.append(relative_error(maps, line.fp32.scored.maps))
    assert 0 < errors[0] < errors[1] < 1
