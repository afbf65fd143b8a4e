"""``edgeflow export``: a line per stage with its time, then the content of the bundle."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from edgeflow.calibration.detection_rates import shortcomings
from edgeflow.cli.bundle import print_accuracy, print_rates
from edgeflow.cli.terminal.output import print_json
from edgeflow.cli.terminal.tables import make_table, print_table
from edgeflow.contracts.documents.document import parse_document
from edgeflow.diagnostics.peak_memory import own_peak_bytes
from edgeflow.errors import ConfigError, UsageError
from edgeflow.files import require_new
from edgeflow.security.keys import read_passphrase, read_private_key
from edgeflow_export.bundling.build import build_bundle
from edgeflow_export.bundling.release import Built, Release
from edgeflow_export.bundling.single_graph import Part, build_graph
from edgeflow_export.checkpoints.checkpoint import TrainedModel
from edgeflow_export.checkpoints.model_source import ModelSource, load_model, with_views
from edgeflow_export.cli.imported import ImportOptions
from edgeflow_export.conversion.stage_results import StageResults
from edgeflow_export.data.array_cache import default_cache_dir
from edgeflow_export.data.dataset import Dataset, load_dataset
from edgeflow_export.distributed import existing_device
from edgeflow_export.imported.imported_model import ImportedModel, load_imported
from edgeflow_export.recipe import ForegroundSpec, ImportRecipe, Recipe, load_export_recipe
from edgeflow_export.report.files import require_writable

R = TypeVar("R", Recipe, ImportRecipe)

__all__ = ["ExportChoices", "export", "export_command", "print_built"]


def export_command(
    source: dict[str, Any],
    *,
    output: Path,
    onnx: Path | None,
    anomalib: Path | None,
    graph_output: str | None,
    image_size: str | None,
    mean: str | None,
    std: str | None,
    value_range: str | None,
    colour: str | None,
    precision: str | None,
    foreground: str | None,
    foreground_size: int | None,
    augmentation: bool | None,
    sign: Path | None,
    passphrase_file: Path | None,
    bundle_version: int,
    device_class: str | None,
    expires: datetime | None,
    device: str,
    only: Part | None,
    restart: bool,
    ignore_memory: bool,
    accept_low_recall: bool,
    json_output: bool,
) -> None:
    """``edgeflow export`` with its options as given."""
    recipe: Path | None = source["recipe"]
    choices = ExportChoices(
        precision=precision,
        foreground=foreground,
        foreground_size=foreground_size,
        augmentation=augmentation,
    )
    options = ImportOptions(
        onnx=onnx,
        anomalib=anomalib,
        graph_output=graph_output,
        image_size=image_size,
        mean=mean,
        std=std,
        value_range=value_range,
        colour=colour,
    )
    export(
        _source(source, options, only),
        output,
        choices=choices,
        release=Release(
            version=bundle_version,
            device_class=device_class,
            expires=expires.replace(tzinfo=UTC) if expires is not None else None,
            signer=read_private_key(sign, read_passphrase(passphrase_file)) if sign is not None else None,
        ),
        search_path=[recipe.resolve().parent] if recipe is not None else [],
        device=device,
        only=only,
        restart=restart,
        ignore_memory=ignore_memory,
        accept_low_recall=accept_low_recall,
        json_output=json_output,
    )


def _source(given: dict[str, Any], options: ImportOptions, only: Part | None) -> ModelSource | ImportRecipe:
    """The model that was asked for: of this program, official, or from elsewhere.

    Raises:
        UsageError: two models, or options that do not go together.
    """
    path: Path | None = given["recipe"]
    recipe = load_export_recipe(path) if path is not None else None
    imported = options.recipe(recipe, parts=given["parts"], class_name=given["class_name"])
    if imported is None:
        return ModelSource(**{**given, "recipe": recipe})
    others = [
        key for key in ("checkpoint", "multiflow", "backbone", "mvanet", "graph") if given[key] is not None
    ]
    if others or only is not None:
        named = ", ".join([*others, *(["--only"] if only is not None else [])])
        raise UsageError(f"{named}: does not go with a network from elsewhere; leave it out")
    return imported


def export(
    source: ModelSource | ImportRecipe,
    output: Path,
    *,
    choices: ExportChoices,
    release: Release,
    search_path: Sequence[Path],
    device: str,
    only: Part | None,
    restart: bool,
    ignore_memory: bool,
    accept_low_recall: bool,
    json_output: bool,
) -> None:
    """Turn a model into a bundle file, or one of its graphs into a folder of files.

    Args:
        choices: what the command line decides instead of the recipe.
        search_path: folders where an extractor function's module may lie.
        device: torch device for foreground masks.
        only: one of the model's graphs alone; the output is then a folder.
        ignore_memory: begin even where the memory at hand will not do.
        accept_low_recall: write even a bundle that lets most labelled defective parts pass.
        restart: take nothing over from an interrupted export.
    """
    if only is None:
        require_new(output)
    require_writable(output.absolute().parent if only is None else output)
    device = existing_device(device)
    started_s = time.monotonic()
    model, data = _loaded(source, choices, search_path)
    console = Console(stderr=True, highlight=False)

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        begun_s = time.monotonic()
        with console.status(name):
            yield
        console.print(f"{time.monotonic() - begun_s:7.1f} s  {name}", markup=False, soft_wrap=True)

    def say(text: str) -> None:
        console.print(f"           {text}", markup=False, soft_wrap=True)

    for note in model.recipe.export.outdated:
        say(f"note: {note}")
    results = StageResults(default_cache_dir() / "export", reuse=not restart, say=say)
    if only is not None and isinstance(model, TrainedModel):
        written = build_graph(
            model,
            data,
            only,
            output,
            stage,
            device=device,
            results=results,
            ignore_memory=ignore_memory,
        )
        _show_files(written, json_output=json_output)
        return
    built = build_bundle(
        model,
        data,
        output,
        stage,
        device=device,
        release=release,
        results=results,
        ignore_memory=ignore_memory,
        accept_low_recall=accept_low_recall,
    )
    seconds = time.monotonic() - started_s
    if json_output:
        print_json(_document(built, seconds))
    else:
        print_built(built, seconds)


def _loaded(
    source: ModelSource | ImportRecipe, choices: ExportChoices, search_path: Sequence[Path]
) -> tuple[TrainedModel | ImportedModel, Dataset]:
    """The model and the parts that it is exported with."""
    if isinstance(source, ImportRecipe):
        network = load_imported(choices.applied(source))
        data = load_dataset(network.recipe)
        return network.with_views(data.view_ids), data
    model = load_model(source, search_path=search_path)
    model = replace(model, recipe=choices.applied(model.recipe))
    data = load_dataset(model.recipe)
    return with_views(model, data), data


def _show_files(written: Sequence[Path], *, json_output: bool) -> None:
    if json_output:
        print_json({"files": [str(path) for path in written], "peak_bytes": own_peak_bytes()})
        return
    for path in written:
        Console(highlight=False, markup=False).print(
            f"{path}  {path.stat().st_size / 1e6:.2f} MB", soft_wrap=True
        )


_TOLD = {"graphs", "reference_thresholds", "graph_thresholds", "accuracy", "notes"}


def _document(built: Built, seconds: float) -> dict[str, object]:
    return {
        "bundle": str(built.path),
        "bytes": built.size,
        "sha256": built.sha256,
        "seconds": round(seconds, 1),
        "peak_bytes": own_peak_bytes(),
        "shortcomings": list(shortcomings(built.manifest.reference_thresholds, built.manifest.min_recall)),
        **built.manifest.model_dump(mode="json", include=_TOLD),
    }


def print_built(built: Built, seconds: float) -> None:
    """Print the content of a bundle for people."""
    console = Console(highlight=False, markup=False)
    headings = ("graph", "map error", "allowed", "verdict flips", "rank correlation", "part AUROC (fp32)")
    table = make_table(*headings)
    manifest = built.manifest
    reports = {report.graph: report for report in manifest.accuracy}
    for graph in manifest.graphs:
        report = reports.get(graph.id)
        auroc = report.part_auroc if report else None
        table.add_row(
            graph.id,
            f"{graph.measured_error:.2g}",
            f"{manifest.allowed_error(graph):.2g}",
            f"{report.verdict_flips} of {report.parts}" if report else "",
            f"{report.rank_correlation:.4f}" if report else "",
            f"{auroc:.4f} ({report.part_auroc_reference:.4f})" if report and auroc is not None else "",
        )
    print_table(console, table)
    print_rates(console, manifest)
    print_accuracy(console, manifest)
    for report in manifest.accuracy:
        if report.steps:
            console.print(
                f"{report.graph}: {report.quantized}, because: {'; '.join(report.steps)}", markup=False
            )
    for note in manifest.notes:
        console.print(f"note: {note}", markup=False)
    thresholds = manifest.reference_thresholds
    console.print(
        f"part threshold {thresholds.part.threshold:.4g} from {thresholds.normal_parts} held-out normal "
        f"parts at a false-reject rate of {thresholds.false_reject_rate:g}"
    )
    if thresholds.note:
        console.print(f"note: {thresholds.note}", markup=False)
    console.print(
        f"{built.path}: {built.size / 1e6:.2f} MB in {seconds:.0f} s and at most "
        f"{own_peak_bytes() / 1e9:.1f} GB of memory; every graph replayed its golden parts"
    )


@dataclass(frozen=True, kw_only=True)
class ExportChoices:
    """Flags; None leaves the recipe's value.

    Attributes:
        precision: of the graphs beside fp32, which every bundle holds.
        foreground: kind of foreground.
        foreground_size: side of MVANet's image in pixels.
        augmentation: whether MVANet takes the published six looks.
    """

    precision: str | None = None
    foreground: str | None = None
    foreground_size: int | None = None
    augmentation: bool | None = None

    def applied(self, recipe: R) -> R:
        """The recipe with the flags in force.

        Raises:
            ConfigError: a foreground that the recipe and the files at hand cannot give.
        """
        update: dict[str, object] = {}
        if self.precision is not None:
            precisions = tuple(dict.fromkeys(("fp32", self.precision)))
            update["export"] = recipe.export.model_copy(update={"precisions": precisions})
        flags = {
            "kind": self.foreground,
            "size": self.foreground_size,
            "augmentation": self.augmentation,
        }
        chosen = {key: value for key, value in flags.items() if value is not None}
        if chosen:
            given = recipe.foreground.model_dump(mode="json", exclude_unset=True) | chosen
            update["foreground"] = parse_document(ForegroundSpec, given, what="foreground", error=ConfigError)
        return recipe.model_copy(update=update)
