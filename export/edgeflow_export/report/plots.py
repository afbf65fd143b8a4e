"""Plots of an export's report: part scores with the threshold, and each graph's scores against fp32's."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from edgeflow.contracts.scoring import FloatArray

__all__ = ["agreement_svg", "scores_svg", "view_scores_svg"]

Flags = npt.NDArray[np.bool_]
Groups = Mapping[str, FloatArray]

NORMAL, DEFECTIVE, INK = "#2f6f9f", "#c8502d", "#20242a"
_COLUMNS = 5  # views beside each other
_MOST = 4.0  # thresholds; what is far beyond would squeeze the scores that a verdict hangs on


def scores_svg(groups: Groups) -> bytes:
    """A histogram of scaled part scores; 1 is the threshold.

    Args:
        groups: name → scores (n,); those named "defective" stand out.
    """
    figure = Figure(figsize=(4.7, 2.9), layout="constrained")
    axes = figure.add_subplot()
    beyond = _histogram(axes, groups)
    axes.set_xlabel(
        "part score (0: median normal part, 1: threshold)"
        + (f"; last bar: {beyond} beyond" if beyond else "")
    )
    axes.set_ylabel("parts")
    # Above the bars, wherever these stand.
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=2)
    return _svg(figure)


def view_scores_svg(views: Mapping[str, Groups]) -> bytes:
    """The same of every view's scores, each on its own scale, side by side; colours as in ``scores_svg``."""
    columns = min(len(views), _COLUMNS)
    rows = -(-len(views) // columns)
    figure = Figure(figsize=(2.05 * columns, 1.75 * rows), layout="constrained")
    for place, (view, groups) in enumerate(views.items(), 1):
        axes = figure.add_subplot(rows, columns, place)
        beyond = _histogram(axes, groups)
        axes.set_title(view + (f" (last bar: {beyond} beyond)" if beyond else ""), fontsize=8, color=INK)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    figure.supxlabel("view score (0: median normal part, 1: threshold)", fontsize=8)
    figure.supylabel("parts", fontsize=8)
    return _svg(figure)


def _histogram(axes: Axes, groups: Groups) -> int:
    """Stacked bars, an edge of which is the threshold; returns how many scores lie beyond the last bar."""
    everything = np.concatenate(list(groups.values()))
    low, high = float(everything.min()), _end(everything)
    width = (high - low) / float(np.clip(len(everything) / 2, 12, 48))
    first, last = math.floor((low - 1) / width), math.ceil((high - 1) / width)
    # What is just at the threshold is OK, and is drawn on that side.
    shown = [np.where(s <= 1, np.minimum(s, 1 - 1e-4 * width), np.minimum(s, high)) for s in groups.values()]
    axes.hist(
        shown,
        bins=[1 + width * edge for edge in range(first, last + 1)],
        stacked=True,
        color=[_colour(name) for name in groups],
        label=[f"{len(scores)} {name}" for name, scores in groups.items()],
    )
    axes.axvline(1.0, color=INK, linestyle="--", linewidth=1.2, label="threshold")
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    return int((everything > high).sum())


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
