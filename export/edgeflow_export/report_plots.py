"""Plots of an export's report: part scores with the threshold, and each graph's scores against fp32's."""

from __future__ import annotations

import io
from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from edgeflow.contracts.scoring import FloatArray

__all__ = ["agreement_svg", "scores_svg"]

Flags = npt.NDArray[np.bool_]

NORMAL, DEFECTIVE, INK = "#2f6f9f", "#c8502d", "#20242a"
_MOST = 4.0  # thresholds; what is far beyond would squeeze the scores that a verdict hangs on


def scores_svg(groups: Mapping[str, FloatArray]) -> bytes:
    """A histogram of scaled part scores; 1 is the threshold.

    Args:
        groups: name → scores (n,); those named "defective" stand out.
    """
    everything = np.concatenate(list(groups.values()))
    low, high = float(everything.min()), _end(everything)
    bins = np.linspace(low, high, int(np.clip(len(everything) / 2, 12, 48)))
    figure = Figure(figsize=(4.7, 2.9), layout="constrained")
    axes = figure.add_subplot()
    clipped = [np.clip(scores, low, high) for scores in groups.values()]
    axes.hist(
        clipped,
        bins=list(bins),
        stacked=True,
        color=[_colour(name) for name in groups],
        label=[f"{len(scores)} {name}" for name, scores in groups.items()],
    )
    axes.axvline(1.0, color=INK, linestyle="--", linewidth=1.2, label="threshold")
    beyond = int((everything > high).sum())
    axes.set_xlabel("part score (0: median normal part)" + (f"; last bar: {beyond} beyond" if beyond else ""))
    axes.set_ylabel("parts")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=8)
    return _svg(figure)


def agreement_svg(reference: FloatArray, scores: FloatArray, defective: Flags | None, name: str) -> bytes:
    """Scaled part scores (n,) of a reduced graph against fp32; the corners beside the diagonal are flips."""
    figure = Figure(figsize=(2.9, 2.9), layout="constrained")
    axes = figure.add_subplot()
    both = np.concatenate([reference, scores])
    low, high = float(both.min()), _end(both)
    room = 0.04 * (high - low)
    span = (low - room, high + room)
    for corner in ((1.0, span[1], span[0], 1.0), (span[0], 1.0, 1.0, span[1])):
        axes.fill_between(corner[:2], *corner[2:], color="#f3d9d0", linewidth=0)
    axes.plot(span, span, color="#8a9097", linewidth=0.8)
    marked = np.zeros(len(scores), np.bool_) if defective is None else defective
    for flags, colour in ((~marked, NORMAL), (marked, DEFECTIVE)):
        axes.scatter(
            np.clip(reference[flags], low, high), np.clip(scores[flags], low, high), s=9, color=colour
        )
    axes.set_xlim(*span)
    axes.set_ylim(*span)
    axes.set_aspect("equal")
    axes.set_xlabel("part score, fp32")
    axes.set_ylabel(f"part score, {name}")
    return _svg(figure)


def _end(scores: FloatArray) -> float:
    return float(np.clip(scores.max(), 1.25, _MOST))


def _colour(name: str) -> str:
    return {"defective": DEFECTIVE, "normal, for the threshold": NORMAL}.get(name, "#9cc3dd")


def _svg(figure: Figure) -> bytes:
    """The same figure gives the same bytes: no date, no drawn names."""
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=INK, labelsize=8)
        axes.xaxis.label.set_fontsize(9)
        axes.yaxis.label.set_fontsize(9)
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "edgeflow"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
