"""Figures of one view's image for people who focus and aim its camera, beside those of the golden images."""

from __future__ import annotations

from edgeflow.contracts.images import RgbImage
from edgeflow.monitoring.view_appearance import Baseline, measured

__all__ = ["view_figures"]


def view_figures(image: RgbImage, view: str, baseline: Baseline | None) -> dict[str, list[float]]:
    """Return focus, brightness and clipped share, each as the value, then the golden images' least and most.

    Args:
        image: model image, uint8 (H, W, 3), red first.
        baseline: of the bundle; None: there are only the values.

    Returns:
        ``focus``: strength of the finest edges against the contrast; ``brightness``: mean grey level, 0 to
        255; ``clipped``: share of pixels that are white or black.
    """
    golden = baseline.looks.get(view, ()) if baseline is not None else ()
    seen = measured(image)
    return {
        "focus": _row(seen.sharpness, [look.sharpness for look in golden]),
        "brightness": _row(seen.brightness, [look.brightness for look in golden]),
        "clipped": _row(seen.clipped, [look.clipped for look in golden]),
    }


def _row(value: float, golden: list[float]) -> list[float]:
    bounds = [min(golden), max(golden)] if golden else []
    return [round(each, 4) for each in (value, *bounds)]
