"""``edgeflow evaluate``: writes reports and pictures, and prints tables."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console
from rich.table import Table

from edgeflow.cli.terminal.output import print_json
from edgeflow.cli.terminal.tables import make_table, print_table
from edgeflow.contracts.manifest import MANIFEST_NAME
from edgeflow.errors import CheckpointError, EdgeflowError, UsageError
from edgeflow_export.checkpoints.model_source import ModelSource
from edgeflow_export.evaluation.bundle import evaluate_bundle
from edgeflow_export.evaluation.comparison import FIGURES, LEGEND, Comparison, Row, compare_reports
from edgeflow_export.evaluation.evaluate import Evaluation
from edgeflow_export.evaluation.evaluate import evaluate as measure
from edgeflow_export.evaluation.mistakes_sheet import mistakes_sheet
from edgeflow_export.evaluation.normal_sheet import appearance_sheet
from edgeflow_export.evaluation.plots import roc_png, scores_png
from edgeflow_export.evaluation.report import EvaluationReport
from edgeflow_export.progress import announce
from edgeflow_export.recipe import load_recipe
from edgeflow_export.report.files import require_writable, write_files
from edgeflow_export.training.train import CHECKPOINT_NAME

__all__ = ["comparison_table", "evaluate", "find_checkpoints", "poolings_table", "report_table"]

REPORT_NAME = "report.json"
COMPARISON_NAME = "comparison.json"
FOLDER_NAME = "evaluation"


def evaluate(
    checkpoints: tuple[Path, ...],
    *,
    output: Path | None,
    device: str,
    json_output: bool,
    recipe: Path | None,
    bundle_graph: str | None = None,
    **source: Any,
) -> None:
    """Measure checkpoints; each one's report and pictures go to a folder of its own.

    One file is shown by itself; several, or a folder, as a table.

    Args:
        bundle_graph: of a bundle, which of its graphs.
        source: the other files and folders of a ``ModelSource``.

    Raises:
        CheckpointError: no checkpoint where one was named, or one that cannot be read.
        EdgeflowError: a checkpoint could not be evaluated; of several, the others are.
    """
    found = find_checkpoints(checkpoints)
    run = _Run(
        source=ModelSource(recipe=load_recipe(recipe) if recipe is not None else None, **source),
        device=device,
        bundle_graph=bundle_graph,
        search_path=(recipe.resolve().parent,) if recipe is not None else (),
    )
    if len(checkpoints) == 1 and checkpoints[0].is_file():
        report, written = run.evaluate(found[0], output or found[0].parent / FOLDER_NAME)
        if json_output:
            print_json(report.model_dump(mode="json"))
        else:
            _print_report(report, written)
        return
    folders = _folders(found, output)
    comparison, failures = run.compare(found, folders)
    if output is not None:
        write_files(output, {COMPARISON_NAME: comparison.model_dump_json(indent=1).encode() + b"\n"})
    if json_output:
        print_json(comparison.model_dump(mode="json"))
    else:
        _print_comparison(comparison, folders if output is None else (output,))
    _raise_together(failures, len(found))


@dataclass(frozen=True, kw_only=True)
class _Run:
    """Settings for the evaluation of each checkpoint."""

    source: ModelSource
    device: str
    bundle_graph: str | None
    search_path: tuple[Path, ...]

    def evaluate(self, checkpoint: Path, folder: Path) -> tuple[EvaluationReport, tuple[Path, ...]]:
        """One checkpoint's report and the files written."""
        require_writable(folder)
        evaluation = self._measured(checkpoint)
        return evaluation.report, write_files(folder, _files(evaluation))

    def _measured(self, path: Path) -> Evaluation:
        is_bundle = _is_bundle(path)
        self._require_fitting_options(path, is_bundle=is_bundle)
        if not is_bundle:
            return measure(path, source=self.source, device=self.device, search_path=self.search_path)
        return evaluate_bundle(
            path,
            parts=self.source.parts,
            class_name=self.source.class_name,
            graph_id=self.bundle_graph,
            device="CPU" if self.device == "cpu" else self.device,
        )

    def _require_fitting_options(self, path: Path, *, is_bundle: bool) -> None:
        """Refuse options that would have no effect.

        Raises:
            UsageError: an option of checkpoints for a bundle, or one of bundles for a checkpoint.
        """
        if not is_bundle and self.bundle_graph is not None:
            raise UsageError(f"{path}: is no bundle; leave out --bundle-graph")
        of_checkpoints = {
            "--recipe": self.source.recipe,
            "--backbone": self.source.backbone,
            "--mvanet": self.source.mvanet,
            "--graph": self.source.graph,
        }
        given = [name for name, value in of_checkpoints.items() if value is not None]
        if is_bundle and given:
            remedy = "name a graph with --bundle-graph" if given == ["--graph"] else "leave it out"
            raise UsageError(f"{path}: {', '.join(given)} does not go with a bundle; {remedy}")

    def compare(
        self, checkpoints: Sequence[Path], folders: Sequence[Path]
    ) -> tuple[Comparison, dict[Path, EdgeflowError]]:
        """All checkpoints; one that fails does not stop the others."""
        for folder in folders:
            require_writable(folder)
        reports: list[EvaluationReport] = []
        failures: dict[Path, EdgeflowError] = {}
        for number, (checkpoint, folder) in enumerate(zip(checkpoints, folders, strict=True), 1):
            announce(f"{number} of {len(checkpoints)}: {checkpoint}", enabled=True)
            try:
                reports.append(self.evaluate(checkpoint, folder)[0])
            except EdgeflowError as error:
                failures[checkpoint] = error
        named = {str(path): str(error) for path, error in failures.items()}
        return compare_reports(reports).model_copy(update={"failures": named}), failures


def find_checkpoints(paths: Sequence[Path]) -> tuple[Path, ...]:
    """The checkpoint files that paths name: files as they are, folders searched two levels down.

    Raises:
        CheckpointError: a path that is not there, or a folder without checkpoints; all are named.
    """
    found: dict[Path, None] = {}
    problems = []
    for path in paths:
        inside: list[Path] = [path]
        if path.is_dir():
            inside = [
                file
                for pattern in ("", "*/", "*/*/")
                for file in sorted(path.glob(pattern + CHECKPOINT_NAME))
            ]
            if not inside:
                problems.append(f"{path}: no {CHECKPOINT_NAME} in this folder or in those below")
        elif not path.is_file():
            problems.append(f"{path}: no such file or folder")
        found |= dict.fromkeys(inside)
    if problems:
        raise CheckpointError(
            "nothing to evaluate there; make a checkpoint with 'edgeflow train RECIPE'", problems=problems
        )
    return tuple(found)


def report_table(report: EvaluationReport) -> Table:
    """One report for a terminal."""
    figures = ("parts", "part AUROC", "recall at the threshold")
    title = f"{report.parts} test parts, {report.defective_parts} defective"
    table = make_table("", *figures, right=figures, title=title)
    for name, kind in report.classes.items():
        table.add_row(name, str(kind.parts), _figure(kind.part_auroc), _percent(kind.recall))
    table.add_section()
    defective = str(report.defective_parts)
    table.add_row("all defects", defective, _figure(report.part_auroc), _percent(report.recall))
    return table


def poolings_table(report: EvaluationReport) -> Table:
    """Part AUROC from the same maps under each scoring; the recipe's own is marked."""
    table = make_table("view score", "part: mean", "part: max", right=("part: mean", "part: max"))
    for name, figures in report.poolings.items():
        used = name == report.scoring.pooled
        cells = {way: _figure(value) for way, value in figures.items()}
        cells[report.scoring.part] += "*" if used else " "
        table.add_row(name, cells["mean"], cells["max"])
    return table


def comparison_table(comparison: Comparison) -> Table:
    """Several reports for a terminal, as in the paper's tables."""
    table = make_table("", *FIGURES, right=tuple(FIGURES))
    for group in comparison.groups:
        for row in group.rows:
            table.add_row(row.name, *_cells(row))
        table.add_section()
        name = f"mean {group.graph}" if group.graph else "mean"
        table.add_row(name, *_cells(group.mean), style="bold")
        table.add_section()
    return table


def _files(evaluation: Evaluation) -> dict[str, bytes | None]:
    report, sheet = evaluation.report, mistakes_sheet(evaluation)
    normal = appearance_sheet(evaluation)
    return {
        REPORT_NAME: (report.model_dump_json(indent=1) + "\n").encode(),
        "scores.png": scores_png(report),
        "roc.png": roc_png(report),
        "mistakes.png": _png(sheet) if sheet is not None else None,
        "normal.png": _png(normal) if normal is not None else None,
    }


def _is_bundle(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:  # torch's files are such archives too
        return MANIFEST_NAME in archive.namelist()


def _png(sheet: Image.Image) -> bytes:
    picture = io.BytesIO()
    sheet.save(picture, format="PNG")
    return picture.getvalue()


def _folders(checkpoints: Sequence[Path], output: Path | None) -> tuple[Path, ...]:
    """Folders of the reports: beside each checkpoint, or in ``output`` under its folder's name."""
    if output is None:
        return tuple(path.parent / FOLDER_NAME for path in checkpoints)
    names = [path.resolve().parent.name for path in checkpoints]
    if len(set(names)) < len(names):
        names = ["-".join(path.resolve().parent.parts[-2:]) for path in checkpoints]
    if len(set(names)) < len(names):
        names = [f"{number}-{name}" for number, name in enumerate(names, 1)]
    return tuple(output / name for name in names)


def _raise_together(failures: dict[Path, EdgeflowError], count: int) -> None:
    if failures:
        raise type(next(iter(failures.values())))(
            f"{len(failures)} of {count} checkpoints could not be evaluated",
            problems=[f"{path}: {error}" for path, error in failures.items()],
        )


def _print_report(report: EvaluationReport, written: Sequence[Path]) -> None:
    console = Console(highlight=False, soft_wrap=True, markup=False)
    print_table(console, report_table(report))
    (row,) = compare_reports([report]).groups[0].rows
    figures = zip(FIGURES, _cells(row), strict=True)
    console.print("   ".join(f"{name} {value}" for name, value in figures))
    console.print(LEGEND, style="dim")
    console.print("part AUROC from the same maps under other scorings (scoring in the recipe; * is in use):")
    print_table(console, poolings_table(report))
    console.print(_at_the_threshold(report), markup=False)
    console.print(f"written: {', '.join(map(str, written))}", markup=False)


def _at_the_threshold(report: EvaluationReport) -> str:
    thresholds = report.thresholds
    if thresholds is None:
        return f"no threshold: {report.thresholds_missing}; so no recall and no mistakes.png"
    accepts, rejects = len(report.false_accepts or ()), len(report.false_rejects or ())
    text = (
        f"threshold {thresholds.part.threshold:.4g} (from {thresholds.normal_parts} held-out normal parts, "
        f"false-reject rate {thresholds.false_reject_rate:g}): {accepts} of {report.defective_parts} "
        f"defective parts passed, {rejects} of {report.parts - report.defective_parts} normal ones rejected"
    )
    return f"{text}\nnote: {thresholds.note}" if thresholds.note else text


def _print_comparison(comparison: Comparison, folders: Sequence[Path]) -> None:
    console = Console(highlight=False, markup=False)
    if comparison.reports:
        print_table(console, comparison_table(comparison))
        console.print(LEGEND, style="dim", soft_wrap=True)
        console.print(f"written: {', '.join(map(str, folders))}", markup=False, soft_wrap=True)


def _cells(row: Row) -> tuple[str, ...]:
    return tuple(_figure(getattr(row, figure)) for figure in FIGURES.values())


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
