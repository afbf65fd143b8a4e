"""The report of an export, for people: one page that needs nothing else, and the same bytes every time."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

import numpy as np
from jinja2 import Environment, StrictUndefined

from edgeflow.calibration.detection_rates import MIN_RECALL, false_rejects, needed_parts, recall, shortcomings
from edgeflow.contracts.manifest import Graph, Manifest, Thresholds
from edgeflow.contracts.parity import FOR_SCALE
from edgeflow.contracts.scoring import FloatArray, scaled
from edgeflow_export.imported.imported_model import KIND
from edgeflow_export.quantization.accuracy_guard import (
    Scored,
    changed_verdicts,
    part_auroc,
    rounding,
    scaled_parts,
)
from edgeflow_export.quantization.trial import GraphTrial
from edgeflow_export.report.pictures import (
    DIFFERENCE_RANGE,
    PartPictures,
    data_uri,
    legends,
    part_pictures,
)
from edgeflow_export.report.plots import agreement_svg, scores_svg, view_scores_svg

__all__ = ["ReportContent", "report_page"]

MOST_PARTS = 8
MOST_PICTURE_BYTES = 3_000_000
_FLIPS = 3
_REDUCED = "fp32, median, on the foreground"


@dataclass(frozen=True, kw_only=True)
class ReportContent:
    """The content of a report.

    Attributes:
        manifest: of the bundle, as far as it is known without the report itself.
        scored: graph id → what the graph gave for the trial's parts; the fp32 reference first.
        trial: the held-out normal parts, then the test parts.
        normal: how many are held-out normal parts.
    """

    manifest: Manifest
    scored: Mapping[str, Scored]
    trial: GraphTrial
    normal: int

    @property
    def reference(self) -> Scored:
        """The first graph, against which the others are compared."""
        return self.scored[self.first]

    @property
    def first(self) -> str:
        """The reference's name."""
        return next(iter(self.scored))

    @property
    def thresholds(self) -> Mapping[str, Thresholds]:
        """Graph → its own thresholds."""
        return {graph.id: self.manifest.thresholds_of(graph) for graph in self.manifest.graphs}

    def relative(self, graph: str) -> FloatArray:
        """Part scores (n,) of one graph, scaled by its own threshold."""
        return scaled_parts(self.scored[graph].parts, self.thresholds[graph].part)


def report_page(content: ReportContent) -> bytes:
    """The page as HTML: pictures inside, nothing from elsewhere, no scripts.

    Raises:
        DataError: an image has become unreadable.
    """
    # The page is text from the bundle's own fields: all of it is escaped.
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = resources.files("edgeflow_export.report") / "templates" / "report.html.j2"
    heat, change = legends()
    page = environment.from_string(template.read_text("utf-8")).render(
        manifest=content.manifest,
        notes=[_by_step(note) for note in content.manifest.notes],
        figures=_figures(content),
        for_scale=FOR_SCALE,
        shortcomings=shortcomings(content.manifest.reference_thresholds, content.manifest.min_recall),
        parity=_parity(content.manifest),
        sizes={graph.id: _size(content.manifest, graph) for graph in content.manifest.graphs},
        scores=data_uri(scores_svg(_groups(content, content.relative(content.first))), "svg+xml"),
        view_scores=data_uri(view_scores_svg(_view_groups(content)), "svg+xml"),
        agreements={
            name: data_uri(
                agreement_svg(
                    content.relative(content.first),
                    content.relative(name),
                    content.reference.defective,
                    name,
                ),
                "svg+xml",
            )
            for name in content.scored
            if not name.endswith("fp32")
        },
        parts=_pictures(content),
        heat=heat,
        change=change,
        change_range=DIFFERENCE_RANGE,
        recipe=json.dumps(content.manifest.recipe, indent=1, sort_keys=True, ensure_ascii=False),
        weights=_weights(content.manifest),
    )
    return page.encode()


def _by_step(note: str) -> tuple[str, list[str]]:
    """Outcome of a graph, and the attempts before it."""
    first, *steps = re.split(r"; (?!allowed)", note)
    return first, steps


def _figures(content: ReportContent) -> list[tuple[str, str, str, bool]]:
    """Headline of the report: figure, its meaning, its limit, and if it is bad."""
    manifest = content.manifest
    verified = [(value, what, against, False) for value, what, against in _proof(content)]
    return [_recall(manifest), *_false_rejects(manifest), *verified]


def _recall(manifest: Manifest) -> tuple[str, str, str, bool]:
    found = recall(manifest.reference_thresholds)
    if found is None:
        return (
            "unknown",
            "recall: defective parts rejected",
            "no labelled defective parts to measure it on",
            True,
        )
    wanted = MIN_RECALL if manifest.min_recall is None else manifest.min_recall
    bounds = f"{found}; surely between {found.lower:.0%} and {found.upper:.0%} of all such parts"
    return f"{found.share:.1%}", "recall: defective parts rejected", bounds, found.upper < wanted


def _false_rejects(manifest: Manifest) -> list[tuple[str, str, str, bool]]:
    thresholds = manifest.reference_thresholds
    aimed, needed = thresholds.false_reject_rate, needed_parts(thresholds.false_reject_rate)
    few = thresholds.normal_parts < needed
    origin = f"threshold from {thresholds.normal_parts} held-out normal parts"
    origin += f", too few: the rate needs {needed}" if few else ""
    rows = [(f"{aimed:.2%}", "false rejects aimed at", origin, few)]
    found = false_rejects(thresholds)
    if found is not None:
        text = f"{found} normal test parts"
        rows.insert(0, (f"{found.share:.1%}", "false rejects measured", text, found.lower > aimed))
    return rows


def _proof(content: ReportContent) -> list[tuple[str, str, str]]:
    """Comparison of the graphs with the trained model: maps and verdicts."""
    manifest = content.manifest
    exact = [row for row in _parity(manifest) if row[1] != _REDUCED]
    worst = max(exact, key=lambda row: row[2] / row[3])
    allowed = f"allowed {worst[3]:.1g}, relative to {worst[1]}"
    found = [(f"{worst[2]:.1e}", "largest map error in fp32", allowed)]
    for report in manifest.accuracy:
        flips = f"{report.verdict_flips} of {report.parts}"
        within = f"each graph by its own threshold; {report.flips_allowed} are within chance"
        found.append((flips, f"verdicts changed by {report.graph}", within))
    auroc = part_auroc(content.reference)
    if auroc is not None:
        reduced = [f"{r.graph} {r.part_auroc:.3f}" for r in manifest.accuracy if r.part_auroc is not None]
        found.append((f"{auroc:.3f}", "part AUROC, fp32", ", ".join(reduced) or "labelled test parts"))
    return found


def _parity(manifest: Manifest) -> list[tuple[str, str, float, float]]:
    """Stage, what it is compared with, largest relative error, and what is allowed."""
    model = "the network's own file" if KIND in manifest.provenance else "torch"
    rows = [(stage.stage, model, stage.measured_error, stage.tolerance) for stage in manifest.parity]
    for graph in manifest.graphs:
        against = model if graph.precision == "fp32" else _REDUCED
        rows.append((graph.id, against, graph.measured_error, manifest.allowed_error(graph)))
    masking = manifest.foreground.graphs if manifest.foreground else ()
    # A network in fewer bits is judged by its masks; the foreground's note says how far they agree.
    verified = [graph for graph in masking if graph.precision == "fp32"]
    return rows + [(f"foreground, {g.id}", "torch", g.measured_error, g.tolerance) for g in verified]


def _size(manifest: Manifest, graph: Graph) -> float:
    return sum(manifest.files[name].size for name in (graph.model, graph.weights) if name) / 1e6


def _groups(content: ReportContent, scores: FloatArray) -> dict[str, FloatArray]:
    """Scaled scores (n,) by what is known of their parts."""
    normal = content.normal
    labels = [part.defective for part in content.trial.parts]
    groups = {"normal, for the threshold": scores[:normal]}
    for name, label in (("normal, test", False), ("defective", True), ("not labelled", None)):
        chosen = [i for i in range(normal, len(scores)) if labels[i] is label]
        if chosen:
            groups[name] = scores[chosen]
    return groups


def _view_groups(content: ReportContent) -> dict[str, dict[str, FloatArray]]:
    """The same of every view, on its own scale."""
    scales = content.thresholds[content.first].views
    return {
        view: _groups(content, np.array([scaled(float(raw), scales[view]) for raw in scores], np.float32))
        for view, scores in zip(content.manifest.view_ids, content.reference.views.T, strict=True)
    }


def _pictures(content: ReportContent) -> list[PartPictures]:
    """As many parts as the page has room for, the most telling first."""
    reduced = [name for name in content.scored if not name.endswith("fp32")]
    scored = {name: content.scored[name] for name in (content.first, *reduced[:1])}
    found: list[PartPictures] = []
    for index, why in _telling(content, reduced).items():
        known = "normal, held out for the threshold" if index < content.normal else "not labelled"
        drawn = part_pictures(index, why, content.trial, scored, content.thresholds, unlabelled=known)
        if found and sum(part.size for part in found) + drawn.size > MOST_PICTURE_BYTES:
            break
        found.append(drawn)
    return found


def _telling(content: ReportContent, reduced: list[str]) -> dict[int, str]:
    """Parts by index, each with why it is shown: changed verdicts, golden parts, those near the threshold."""
    scores = content.relative(content.first)
    chosen: dict[int, str] = {}
    for name in reduced:
        near = rounding(content.thresholds[content.first].part, content.manifest.graphs[0].tolerance)
        flipped = np.flatnonzero(changed_verdicts(content.relative(name), scores, 1.0, near))
        for index in flipped[:_FLIPS]:
            chosen.setdefault(int(index), f"verdict changed by {name}")
    ids = [part.part_id for part in content.trial.parts]
    for golden in content.manifest.golden:
        chosen.setdefault(ids.index(golden.part_id), "golden part: replayed at every start of a box")
    for name, label in (("defective", True), ("normal", False)):
        group = [i for i, part in enumerate(content.trial.parts) if bool(part.defective) is label]
        for index in sorted(group, key=lambda i: abs(float(scores[i]) - 1.0))[:2]:
            chosen.setdefault(index, f"{name} part nearest to the threshold")
    return dict(list(chosen.items())[:MOST_PARTS])


def _weights(manifest: Manifest) -> list[tuple[str, str, str]]:
    """Origin of the weights: role, source, and the licence that the recipe or their package states."""
    recipe = manifest.recipe
    stated = recipe.get("licences")
    licences = stated if isinstance(stated, dict) else {}
    extractor, foreground = recipe.get("extractor"), recipe.get("foreground")
    rows = []
    network = manifest.provenance.get("network_file")
    if network is not None:
        producer = manifest.provenance.get("network_producer", "unknown")
        rows.append(("network", f"{network}, by {producer}", str(licences.get("network", ""))))
    if isinstance(extractor, dict):
        name = extractor.get("model") or extractor.get("target") or extractor.get("kind")
        told = manifest.provenance
        named = [str(name), told.get("extractor_weights", "")]
        origin = told.get("backbone_checkpoint", ", ".join(filter(None, named)))
        licence = licences.get("extractor", told.get("extractor_licence", ""))
        rows.append(("extractor", origin, str(licence)))
    if network is None:
        flow = manifest.provenance.get("multiflow_checkpoint", "trained on the parts of this recipe")
        head = "patch memory" if recipe.get("model") == "patch_memory" else "flow"
        rows.append((head, flow, str(licences.get("flow", ""))))
    if manifest.foreground is not None and isinstance(foreground, dict):
        origin = manifest.provenance.get("mvanet_checkpoint", manifest.foreground.kind)
        rows.append(("foreground", origin, str(licences.get("foreground", ""))))
    return rows
