"""Comparison of the speed of two graphs on this machine, measured in turns."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from edgeflow.backends.runner import GraphRunner
from edgeflow_export.conversion.candidate_graphs import CandidateGraph
from edgeflow_export.data.dataset import Images

__all__ = ["speedup"]

_ROUNDS = 9
_LEAST_ROUNDS, _AT_MOST_S = 3, 10.0


def speedup(graph: CandidateGraph, reference: CandidateGraph, images: Sequence[Images]) -> float:
    """Return the speed-up over the reference: the median of the ratios of neighbouring runs.

    In turns, so that whatever else the machine does slows both; after one run of each that does not count.
    """
    runners = (graph.runner(), reference.runner())
    try:
        for runner in runners:
            runner.run(images[0])
        ratios: list[float] = []
        begun_s = time.perf_counter()
        for turn in range(max(_ROUNDS, len(images))):
            if len(ratios) >= _LEAST_ROUNDS and time.perf_counter() - begun_s > _AT_MOST_S:
                break
            part = images[turn % len(images)]
            order = runners if turn % 2 else runners[::-1]
            seconds = {id(runner): _seconds(runner, part) for runner in order}
            ratios.append(seconds[id(runners[1])] / seconds[id(runners[0])])
    finally:
        for runner in runners:
            runner.close()
    return float(np.median(ratios))


def _seconds(runner: GraphRunner, images: Images) -> float:
    begun_ns = time.perf_counter_ns()
    runner.run(images)
    return (time.perf_counter_ns() - begun_ns) / 1e9
