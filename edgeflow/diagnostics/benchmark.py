"""Cost of scoring on this machine: graphs take turns, so that other load slows all of them alike."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter, perf_counter_ns
from typing import Any, Protocol

import numpy as np

from edgeflow.backends.runner import ActualPlacement, Placement
from edgeflow.bundles.bundle import Bundle
from edgeflow.contracts.images import RgbImage, read_image
from edgeflow.contracts.manifest import Graph
from edgeflow.contracts.preprocess import reading_of
from edgeflow.decision.recorded_parts import find_bundle_parts
from edgeflow.diagnostics.startup_time import Started
from edgeflow.scoring.loading import make_scorer
from edgeflow.scoring.scorer import Scorer

__all__ = [
    "Candidate",
    "Cost",
    "ScorerContender",
    "Turns",
    "Work",
    "costs",
    "load_parts",
    "measure_in_turns",
    "work_of",
]

WARM_UP = 2
MOST_PARTS = 16
_WORK = {
    "openvino": "edgeflow.backends.openvino.compute_cost",
    "onnxruntime": "edgeflow.backends.onnxruntime.compute_cost",
}

Images = Mapping[str, RgbImage]
"""One part: view to uint8 (H, W, 3)."""
Turns = Mapping[str, Sequence[Mapping[str, int]]]
"""Contender to nanoseconds by stage, one entry per turn."""


class Candidate(Protocol):
    """Something that scores parts, by stages."""

    name: str

    def score(self, images: Images) -> Mapping[str, int]:
        """Score one part; nanoseconds that each stage took."""


class ScorerContender:
    """A graph of a bundle, scored as the line scores."""

    def __init__(self, graph: Graph, scorer: Scorer) -> None:
        self.name = graph.id
        self.scorer = scorer

    def score(self, images: Images) -> Mapping[str, int]:
        """Masks are asked for where they can change the verdict, as on the line."""
        begun_ns = perf_counter_ns()
        spent = self.scorer.score(images).spent
        return {**asdict(spent), "part": perf_counter_ns() - begun_ns}

    def mask_ms(self, images: Images) -> float:
        """Milliseconds of one foreground mask; 0 where there is none to ask for."""
        scores = self.scorer.score(images, ask="some")
        return scores.spent.masks / 1e6 / max(1, len(scores.masked))


@dataclass(frozen=True, kw_only=True)
class Work:
    """Multiplications of a graph, and the machine's peak.

    Attributes:
        macs: multiplications with addition in one run.
        peak_macs_per_s: measured through the same back end, in the graph's precision.
    """

    macs: int
    peak_macs_per_s: float


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Cost of one candidate.

    Attributes:
        p50_ms, p99_ms: by stage; ``part`` is the whole.
        parts_per_s: one part after the other.
        ratio: of a whole part, to the contender that is compared with; the median of its turns' ratios.
        overhead: what comes on top of the graphs, as a share of them.
        placement: None where it is not a graph of the bundle.
        peak_share: multiplications a second in the graph, as a share of the machine's.
        mask_ms: one foreground mask.
    """

    name: str
    p50_ms: Mapping[str, float]
    p99_ms: Mapping[str, float]
    parts_per_s: float
    ratio: float
    overhead: float | None = None
    placement: ActualPlacement | None = None
    work: Work | None = None
    peak_share: float | None = None
    mask_ms: float | None = None
    started: Started | None = None


def measure_in_turns(
    contenders: Sequence[Candidate],
    parts: Sequence[Images],
    *,
    turns: int,
    at_most_s: float,
    tell: Callable[[Iterable[int]], Iterable[int]] = iter,
    clock: Callable[[], float] = perf_counter,
) -> Turns:
    """Let contenders score part after part, each part by all of them before the next.

    Args:
        turns: counted ones; a few before them are not.
        at_most_s: no turn begins later than this, but for the first three counted ones.
        tell: wraps the turns, to show how far they are.
    """
    found: dict[str, list[Mapping[str, int]]] = {contender.name: [] for contender in contenders}
    begun_s = clock()
    for turn in tell(range(-WARM_UP, turns)):
        if turn >= 3 and clock() - begun_s > at_most_s:
            break
        images = parts[turn % len(parts)]
        for contender in contenders if turn % 2 else contenders[::-1]:
            spent = contender.score(images)
            if turn >= 0:
                found[contender.name].append(spent)
    return found


def costs(turns: Turns, base: str) -> list[Cost]:
    """Figures of every contender.

    Args:
        base: whose time is 1 in the ratios.
    """
    return [_cost(name, spent, turns[base]) for name, spent in turns.items()]


def _cost(name: str, spent: Sequence[Mapping[str, int]], base: Sequence[Mapping[str, int]]) -> Cost:
    times = {stage: np.array([turn[stage] for turn in spent]) / 1e6 for stage in spent[0]}
    whole, other = times["part"], np.array([turn["part"] for turn in base]) / 1e6
    overhead = None
    if "graph" in times:
        graphs = times["graph"] + times["masks"]
        overhead = float(np.median((whole - graphs) / graphs))
    return Cost(
        name=name,
        p50_ms={stage: float(np.median(ms)) for stage, ms in times.items()},
        p99_ms={stage: float(np.quantile(ms, 0.99)) for stage, ms in times.items()},
        parts_per_s=float(1000 / whole.mean()),
        ratio=float(np.median(whole / other)),
        overhead=overhead,
    )


def work_of(bundle: Bundle, graph: Graph, *, device: str, threads: int) -> Work:
    """Multiplications of a graph, counted from its shapes, and the machine's peak through its back end.

    Raises:
        DeviceError: the device is not there.
    """
    module: Any = importlib.import_module(_WORK[graph.backend])
    weights = bundle.read(graph.weights) if graph.weights else None
    return Work(
        macs=module.macs_of(bundle.read(graph.model), weights),
        peak_macs_per_s=module.peak_macs_per_s(graph.precision, device=device, threads=threads),
    )


def load_parts(bundle: Bundle, folder: Path | None) -> list[Images]:
    """Some parts of a folder, as camera images; without a folder the bundle's golden parts.

    Raises:
        DataError: no parts, or other views than the bundle's.
    """
    if folder is None:
        return [bundle.golden_images(part) for part in bundle.manifest.golden]
    found = find_bundle_parts(bundle, folder)[:MOST_PARTS]
    reading = reading_of(bundle.manifest.preprocessing)
    return [{view: read_image(path, reading) for view, path in part.images.items()} for part in found]


def contender_of(bundle: Bundle, graph: Graph, placement: Placement) -> ScorerContender:
    """A graph of the bundle, compiled."""
    return ScorerContender(graph, make_scorer(bundle, graph, placement=placement))
