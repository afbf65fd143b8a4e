"""Verification of a bundle on this device: golden parts replayed and compared with the trained model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeflow.backends.runner import DEFAULT_PLACEMENT, Placement
from edgeflow.bundles.bundle import Bundle, GoldenExpectation
from edgeflow.contracts.manifest import Graph, Manifest, Scale
from edgeflow.contracts.parity import relative_error
from edgeflow.contracts.scoring import (
    FloatArray,
    Masks,
    masked,
    part_score,
    scaled,
    standardise,
    view_scores,
)
from edgeflow.errors import ParityError
from edgeflow.scoring.loading import make_scorer
from edgeflow.scoring.scorer import MaskDemand, Scorer, Scores

__all__ = ["GoldenCheck", "verify_graph", "verify_scorer"]

# A logit near 0 may round to either side from one processor to the next; a few pixels of a map are allowed.
MASK_TOLERANCE = {"fp32": 0.01, "bf16": 0.05, "int8": 0.05}
_ROUNDING = 1e-6


@dataclass(frozen=True, kw_only=True)
class GoldenCheck:
    """One golden part on one graph.

    Attributes:
        device: what ran it; of AUTO, what it took.
        error: largest relative error of the maps against those expected.
        mask_difference: share of the map's pixels whose foreground differs from the expected one.
        score: scaled part score, by the graph's own thresholds.
        expected_score: the trained model's, by those that describe the bundle.
        score_tolerance: how far they may lie apart; nearer to 1.0 than this, verdicts are not compared.
    """

    graph: str
    device: str
    part_id: str
    error: float
    tolerance: float
    mask_difference: float
    score: float
    expected_score: float
    score_tolerance: float


def verify_graph(
    bundle: Bundle, graph: Graph, *, placement: Placement = DEFAULT_PLACEMENT
) -> list[GoldenCheck]:
    """Compile one graph and replay all golden parts.

    Raises:
        ParityError: a map or a score is out of tolerance, or a verdict differs that the tolerance leaves no
            doubt of.
        DeviceError: the device is not there or fails.
    """
    scorer = make_scorer(bundle, graph, placement=placement)
    try:
        return verify_scorer(bundle, graph, scorer)
    finally:
        scorer.close()


def verify_scorer(
    bundle: Bundle, graph: Graph, scorer: Scorer, *, ask: MaskDemand = "all"
) -> list[GoldenCheck]:
    """Replay all golden parts through a scorer that is already compiled; as :func:`verify_graph`.

    Args:
        ask: which foreground masks to compare, where they are costly: all, or at least one of every part.
    """
    checks, problems = [], []
    scale = scorer.thresholds.part
    trained = bundle.manifest.reference_thresholds.part
    statistics = bundle.statistics()
    mask_tolerance = _mask_tolerance(bundle.manifest, graph)
    for part in bundle.manifest.golden:
        expected = bundle.golden_expectation(part)
        scores = scorer.score(bundle.golden_images(part), ask=ask)
        maps = standardise(expected.maps_for(graph), statistics)
        check = GoldenCheck(
            graph=graph.id,
            device=scorer.placement.device,
            part_id=part.part_id,
            error=relative_error(standardise(scores.raw_maps, statistics), maps),
            mask_difference=_mask_difference(bundle.manifest, scores, expected.masks),
            tolerance=graph.tolerance,
            score=scaled(scores.part, scale),
            expected_score=scaled(expected.part, trained),
            score_tolerance=_score_tolerance(bundle.manifest, graph, scale, maps, expected),
        )
        checks.append(check)
        whole = len(scores.masked) == (len(scores.views) if expected.masks is not None else 0)
        if not check.error <= check.tolerance:
            problems.append(
                f"part {part.part_id}: map error {check.error:.2g}, allowed {check.tolerance:.2g}"
            )
        elif not check.mask_difference <= mask_tolerance:
            problems.append(
                f"part {part.part_id}: {check.mask_difference:.1%} of the foreground differs, allowed "
                f"{mask_tolerance:.1%}"
            )
        elif whole and check.mask_difference == 0 and not _agrees(check):
            problems.append(
                f"part {part.part_id}: score {check.score:.4f} differs from {check.expected_score:.4f} by "
                f"more than {check.score_tolerance:.2g}"
            )
        elif _contradicts(check):
            problems.append(
                f"part {part.part_id}: score {check.score:.3f} gives another verdict than the trained "
                f"model's {check.expected_score:.3f}"
            )
    if problems:
        raise ParityError(
            f"{bundle.path}: {graph.id} on {scorer.placement.device} does not compute what the trained model "
            f"computes; {_remedy(bundle.manifest, graph)}",
            problems=problems,
        )
    return checks


def _remedy(manifest: Manifest, graph: Graph) -> str:
    """Advice on a graph that this device computes wrongly."""
    export = manifest.recipe.get("export")
    if graph.precision == "int8" and isinstance(export, dict) and export.get("weights") == "full":
        return (
            "its int8 weights use the full 8-bit range, with which processors without VNNI overflow: set "
            "runtime.precision: fp32, or export with export.weights: half"
        )
    return "use another device or precision, or export again"


def _score_tolerance(
    manifest: Manifest, graph: Graph, scale: Scale, maps: FloatArray, expected: GoldenExpectation
) -> float:
    """Return how far a graph's scaled score may lie from the trained model's.

    A map within tolerance moves no pooled score by more than that, here or where the score was recorded. A
    graph with thresholds of its own, or in fewer bits, had another score already at export.

    Args:
        scale: of the graph's own part threshold; the trained model's score is on the bundle's.
    """
    moved = 2 * graph.tolerance * float(np.abs(maps).max()) * manifest.scoring.sensitivity
    allowed = moved / (scale.threshold - scale.centre)
    trained = manifest.reference_thresholds.part
    if graph.precision == "fp32" and scale == trained:
        return allowed
    views = view_scores(masked(maps, expected.masks), manifest.scoring)
    own = float(part_score(views, manifest.scoring))
    return allowed + abs(scaled(own, scale) - scaled(expected.part, trained))


def _agrees(check: GoldenCheck) -> bool:
    return abs(check.score - check.expected_score) <= check.score_tolerance + _ROUNDING


def _contradicts(check: GoldenCheck) -> bool:
    """True if the verdict is another one though the expected score is clear of the threshold."""
    clear = abs(check.expected_score - 1.0) > check.score_tolerance
    return clear and (check.score <= 1.0) != (check.expected_score <= 1.0)


def _mask_tolerance(manifest: Manifest, graph: Graph) -> float:
    """The widest of what the anomaly graph's precision allows and what a network for masks has."""
    networks = manifest.foreground.graphs if manifest.foreground is not None else ()
    return max(MASK_TOLERANCE[precision] for precision in (graph.precision, *(n.precision for n in networks)))


def _mask_difference(manifest: Manifest, scores: Scores, expected: Masks | None) -> float:
    """Share of pixels that differ, in the views whose masks were asked for."""
    if scores.masks is None or expected is None:
        return 0.0 if scores.masks is expected else float("inf")
    if scores.masks.shape != expected.shape:
        return float("inf")
    asked = [view in scores.masked for view in manifest.view_ids]
    return float(np.mean(scores.masks[asked] != expected[asked]))
