"""The ladder to INT8: what each step of the quantization does to maps, verdicts, ranks and speed.

    PYTHONPATH=tools python -m benchmarks.int8_ladder CHECKPOINT [PARTS]

Calibration and thresholds come from the checkpoint's own normal parts, the test parts from PARTS. Every graph
is scored as a box would, with the foreground that it gives itself. ``ONEDNN_MAX_CPU_ISA=AVX2`` before the
command shows what a processor without VNNI makes of it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import click
import nncf
import numpy as np
import torch
from nncf.quantization.advanced_parameters import OverflowFix
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr

from edgeflow.backends.openvino.bf16 import computes_in_bf16
from edgeflow.backends.registry import make_runner
from edgeflow.backends.runner import Placement
from edgeflow.calibration.thresholds import calibrate
from edgeflow.contracts.manifest import Scale
from edgeflow.contracts.scoring import masked, scaled, standardise
from edgeflow.temporary_folder import temporary_folder
from edgeflow_export.checkpoints.checkpoint import load_checkpoint
from edgeflow_export.conversion.calibration_parts import spread
from edgeflow_export.conversion.candidate_graphs import CandidateGraph, OnnxSource, draft_onnx
from edgeflow_export.conversion.int8 import Int8Options
from edgeflow_export.conversion.job import ExportJob
from edgeflow_export.conversion.onnx_and_ir import FOREGROUND, MAPS, convert_to_ir, serialise_ir
from edgeflow_export.conversion.rewriting import rewrite
from edgeflow_export.data.dataset import Images, iterate_images, load_dataset
from edgeflow_export.data.ground_truth import GroundTruth, load_ground_truth
from edgeflow_export.evaluation.auroc import auroc
from edgeflow_export.evaluation.evaluate import MASK_SIZE
from edgeflow_export.evaluation.metrics import pixel_figures
from edgeflow_export.quantization.accuracy_guard import Scored
from edgeflow_export.quantization.trial import GraphTrial

NEAR = (0.8, 1.25)
OPTIONS = Int8Options()
Step = tuple[str, Callable[[], CandidateGraph]]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One model with its parts.

    Attributes:
        source: the graph that everything else is made from.
        samples: calibration parts.
        images: held-out normal parts, then test parts.
    """

    job: ExportJob
    source: OnnxSource
    trial: GraphTrial
    samples: list[Images]
    images: list[Images]
    truth: GroundTruth

    def ours(self, options: Int8Options = OPTIONS, *, backend: str = "openvino") -> CandidateGraph:
        """The INT8 graph with these options."""
        return self.source.quantizer(backend, self.samples, options)(())

    def scored(self, draft: CandidateGraph) -> Scored:
        """Scores of all parts by one graph, with the foreground that it gives."""
        runner = draft.runner()
        outputs = [runner.run(part) for part in self.images]
        runner.close()
        maps = np.stack([output[0] for output in outputs])
        own = (
            np.stack([np.asarray(output[1] > 0, np.uint8) for output in outputs])
            if self.trial.distilled
            else None
        )
        return self.trial.scored(maps, own, own)

    def by_nncf(self, *, corrected: bool) -> CandidateGraph:
        """The INT8 graph as NNCF makes it: convolutions alone, whole range of the calibration."""
        model = convert_to_ir(self.source.path)
        kept = {op.get_type_name() for op in model.get_ordered_ops()} - {"Convolution", "GroupConvolution"}
        advanced = nncf.AdvancedQuantizationParameters(
            overflow_fix=OverflowFix.ENABLE,
            disable_bias_correction=not corrected,
            activations_range_estimator_params=nncf.quantization.range_estimator.RangeEstimatorParametersSet.MINMAX,
        )
        logging.getLogger("nncf").setLevel(logging.ERROR)  # it writes to the standard output of its import
        with contextlib.redirect_stdout(sys.stderr):
            quantized = nncf.quantize(
                model,
                nncf.Dataset(self.samples),
                subset_size=len(self.samples),
                preset=nncf.QuantizationPreset.MIXED,
                ignored_scope=nncf.IgnoredScope(types=sorted(kept), validate=False),
                advanced_parameters=advanced,
            )
        ir = serialise_ir(quantized, self.source.path.parent)
        return self.source.int8("openvino", {"int8.xml": ir.xml, "int8.bin": ir.weights})

    def float_graph(self, precision: str) -> CandidateGraph:
        """The graph in fp32 or bf16."""
        return self.source.drafts(("openvino",), (precision,))[-1]

    def steps(self) -> Iterator[Step]:
        """The steps of the ladder, from what NNCF gives to what export does, and beside it."""
        yield "NNCF", lambda: self.by_nncf(corrected=True)
        yield "NNCF, no bias correction", lambda: self.by_nncf(corrected=False)
        yield "nearest, image in float", lambda: self.ours(Int8Options(rounding="nearest", headroom=1.0))
        for headroom in (1.0, 2.0, 3.0, 4.0):
            yield f"second order, headroom {headroom:g}", partial(self.ours, Int8Options(headroom=headroom))
        yield "the same, full range", lambda: self.ours(Int8Options(weights="full"))
        yield "the same, equalised", lambda: self.ours(Int8Options(equalise=True))
        yield "ONNX Runtime", lambda: self.ours(backend="onnxruntime")
        if computes_in_bf16():
            yield "bf16", lambda: self.float_graph("bf16")


@dataclass(frozen=True, kw_only=True)
class Row:
    """Figures of one graph against fp32 on the same parts.

    Attributes:
        map_error: median over the held-out normal parts, on the foreground alone.
        flips: verdicts that differ, both judged by fp32's threshold.
        own_flips: the same with a threshold from the graph's own scores.
        bias, deviation: of the scaled scores, where fp32's lie near the threshold.
        time: of fp32's, processor time of runs in turns.
    """

    step: str
    map_error: float
    flips: int
    own_flips: int
    rank: float
    part_auroc: float
    view_auroc: float
    aupro: float
    bias: float
    deviation: float
    time: float = 1.0


@click.command()
@click.argument("checkpoint", type=click.Path(exists=True, path_type=Path))
@click.argument("parts", type=click.Path(exists=True, path_type=Path), required=False)
@click.option("--calibration-parts", type=click.IntRange(min=2), default=24, show_default=True)
@click.option("--test-parts", type=int, default=0, help="So many of the test parts, evenly spread; 0: all.")
@click.option("--only", multiple=True, help="Steps whose name holds this text; may be repeated.")
@click.option("--rounds", type=int, default=15, show_default=True, help="Of runs in turns; 0: no times.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--json", "json_output", is_flag=True)
def main(
    checkpoint: Path,
    parts: Path | None,
    calibration_parts: int,
    test_parts: int,
    only: tuple[str, ...],
    rounds: int,
    threads: int,
    json_output: bool,
) -> None:
    """Print the ladder of a trained CHECKPOINT on the test parts of PARTS (default: its recipe's)."""
    torch.set_num_threads(threads)
    with temporary_folder() as folder:
        line = _line(checkpoint, parts, (calibration_parts, test_parts), folder)
        reference = line.float_graph("fp32")
        scored = line.scored(reference)
        rows, graphs = [_row("fp32", line, scored, scored)], [reference]
        click.echo(str(rows[0]), err=True)
        for name, make in line.steps():
            if not only or any(text in name for text in only):
                begun_s = time.monotonic()
                graphs.append(make())
                rows.append(_row(name, line, line.scored(graphs[-1]), scored))
                click.echo(f"{time.monotonic() - begun_s:.0f} s: {rows[-1]}", err=True)
        if rounds:
            times = _times(graphs, line.samples, rounds, threads)
            rows = [replace(row, time=found) for row, found in zip(rows, times, strict=True)]
    if json_output:
        click.echo(json.dumps([vars(row) for row in rows], indent=1))
    else:
        _print(rows, line, threads)


def _line(checkpoint: Path, parts: Path | None, counts: tuple[int, int], folder: Path) -> Line:
    model = load_checkpoint(checkpoint)
    data = load_dataset(model.recipe)
    if parts is not None:
        data = replace(data, test=load_dataset(model.recipe, root=parts).test)
    data = replace(data, test=spread(data.test, counts[1] or len(data.test)))
    job = ExportJob(model=model, data=data, stage=lambda _: contextlib.nullcontext(), folder=folder)
    size = data.preprocessing
    example = torch.zeros((len(model.views), size.height, size.width, 3), dtype=torch.uint8)
    inference = rewrite(model.module, (size.height, size.width))
    headed = inference.mask_head is not None
    source = draft_onnx(inference, example, (MAPS, FOREGROUND) if headed else (MAPS,), job)
    trial = GraphTrial(
        parts=job.parts,
        data=data,
        scoring=model.scoring("statistics" if job.statistics else None),
        statistics=job.statistics,
        held_out=len(data.validation),
        distilled=headed,
    )
    chosen = spread(data.training, counts[0])
    return Line(
        job=job,
        source=source,
        trial=trial,
        samples=list(iterate_images(chosen, data)),
        images=list(iterate_images(job.parts, data)),
        truth=load_ground_truth(data, MASK_SIZE),
    )


def _scale(line: Line, scored: Scored) -> Scale:
    spec, count = line.job.model.recipe.thresholds, scored.held_out
    found = calibrate(
        scored.parts[:count],
        scored.views[:count],
        line.job.model.views,
        spec.false_reject_rate,
        method=spec.method,
    )
    return found.part


def _row(step: str, line: Line, scored: Scored, reference: Scored) -> Row:
    count, truth = scored.held_out, line.truth
    scale, own = _scale(line, reference), _scale(line, scored)
    over = reference.parts > scale.threshold
    before, now = (
        np.array([scaled(float(raw), scale) for raw in each.parts]) for each in (reference, scored)
    )
    near = (before >= NEAR[0]) & (before <= NEAR[1])
    moved = (now - before)[near] if near.any() else np.zeros(1)
    tested = masked(standardise(scored.maps[count:], line.trial.statistics), _of(scored.masks, count))
    return Row(
        step=step,
        map_error=_map_error(scored, reference),
        flips=int(((scored.parts > scale.threshold) != over).sum()),
        own_flips=int(((scored.parts > own.threshold) != over).sum()),
        rank=float(spearmanr(scored.parts, reference.parts).statistic),
        part_auroc=auroc(scored.parts[count:], truth.defective_parts) or np.nan,
        view_auroc=auroc(scored.views[count:].ravel(), truth.defective.ravel()) or np.nan,
        aupro=pixel_figures(tested, truth)[1] or np.nan,
        bias=float(moved.mean()),
        deviation=float(moved.std()),
    )


def _of(masks: np.ndarray | None, begin: int) -> np.ndarray | None:
    return None if masks is None else masks[begin:]


def _map_error(scored: Scored, reference: Scored) -> float:
    """Median over held-out normal parts of the largest error of any view, on fp32's foreground."""
    errors = []
    for part in range(reference.held_out):
        masks = None if reference.masks is None else reference.masks[part : part + 1]
        found, expected = (masked(each.maps[part : part + 1], masks)[0] for each in (scored, reference))
        sizes = np.linalg.norm(expected.reshape(len(expected), -1), axis=1)
        lost = np.linalg.norm((found - expected).reshape(len(expected), -1), axis=1)
        errors.append(float(np.max(lost / np.maximum(sizes, 1e-12))))
    return float(np.median(errors))


def _times(
    graphs: Sequence[CandidateGraph], parts: Sequence[Images], rounds: int, threads: int
) -> list[float]:
    """Processor time of each graph over the first one's: the median over runs in turns."""
    runners = []
    for graph in graphs:
        entry = graph.entry(error=0.0, tolerance=1.0)
        files = graph.files[entry.model], graph.files.get(entry.weights or "")
        runners.append(make_runner(entry, *files, placement=Placement(threads=threads)))
    spent = np.zeros((rounds, len(runners)))
    for turn in range(-1, rounds):
        for place, runner in enumerate(runners):
            begun_ns = time.process_time_ns()
            runner.run(parts[turn % len(parts)])
            spent[turn, place] = time.process_time_ns() - begun_ns
    for runner in runners:
        runner.close()
    return [float(value) for value in np.median(spent / spent[:, :1], axis=0)]


def _print(rows: Sequence[Row], line: Line, threads: int) -> None:
    isa = os.environ.get("ONEDNN_MAX_CPU_ISA", "all of it")
    parts = len(line.trial.parts)
    table = Table(
        title=f"{line.job.model.recipe.name}: {parts} parts, {platform.machine()}, {isa}, {threads} thread(s)"
    )
    for name in (
        "step",
        "map error",
        "flips / own",
        "rank",
        "part, view AUROC",
        "AUPRO",
        "scaled: bias, deviation",
        "time",
    ):
        table.add_column(name)
    for row in rows:
        table.add_row(
            row.step,
            f"{row.map_error:.3f}",
            f"{row.flips} / {row.own_flips}",
            f"{row.rank:.4f}",
            f"{row.part_auroc:.4f}, {row.view_auroc:.4f}",
            f"{row.aupro:.4f}",
            f"{row.bias:+.3f}, {row.deviation:.3f}",
            f"{row.time:.3f}",
        )
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
