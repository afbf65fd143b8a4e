"""The change that labelled evidence would make, as one HTML page with pictures."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2

from edgeflow.calibration.labelled.preview import EvidencePreview
from edgeflow.calibration.labelled.turned_verdicts import TurnedPart
from edgeflow.contracts.datasets.recorded_part import RecordedPart
from edgeflow.contracts.images import read_image
from edgeflow.contracts.manifest import Scale
from edgeflow.errors import DataError

__all__ = ["preview_page"]

_MOST_SHOWN = 60
_SIDE = 200
_STYLE = (
    "body{font:16px/1.4 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1d2733}"
    "table{border-collapse:collapse;margin:1rem 0}td,th{padding:.3rem .9rem .3rem 0;text-align:left;"
    "border-bottom:1px solid #d6dde5;vertical-align:top}td.n,th.n{text-align:right}"
    "figure{display:inline-block;margin:0 .5rem .5rem 0}figcaption{font-size:.8rem;color:#5a6775}"
    "img{display:block;max-width:200px;border-radius:4px}.OK{color:#14723a}.NG{color:#b3232e}"
    "section{border-top:2px solid #d6dde5;padding-top:.5rem;margin-top:1rem;overflow-wrap:anywhere}"
)


def preview_page(preview: EvidencePreview, images: Mapping[str, RecordedPart], title: str) -> str:
    """Return the page; it loads nothing from anywhere.

    Args:
        images: result id → images of the part, where they are kept.
        title: of the page.
    """
    text = html.escape
    shown = preview.turned.turned[:_MOST_SHOWN]
    more = len(preview.turned.turned) - len(shown)
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f"<title>{text(title)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{text(title)}</h1>",
            "<ul>",
            *(f"<li>{text(sentence)}</li>" for sentence in preview.sentences),
            "</ul>",
            _thresholds(preview),
            f"<h2>Verdicts that would turn: {len(preview.turned.turned)}</h2>",
            *(_part(found, images.get(found.part.result_id)) for found in shown),
            f"<p>and {more} more; --json names all</p>" if more else "",
            "</body></html>",
        ]
    )


def _thresholds(preview: EvidencePreview) -> str:
    before, after = preview.before, preview.after
    rows = [_row("part", before.part, after.part)]
    rows += [_row(view, before.views[view], scale) for view, scale in after.views.items()]
    head = (
        '<tr><th>threshold of</th><th class="n">before</th><th class="n">now</th><th>95 % interval</th></tr>'
    )
    return f"<table>{head}{''.join(rows)}</table>"


def _row(name: str, before: Scale, after: Scale) -> str:
    interval = after.interval
    high = "?" if interval is None or interval.high is None else f"{interval.high:.4g}"
    between = "" if interval is None else f"{interval.low:.4g} to {high}"
    numbers = "".join(f'<td class="n">{scale.threshold:.4g}</td>' for scale in (before, after))
    return f"<tr><td>{html.escape(name)}</td>{numbers}<td>{between}</td></tr>"


def _part(found: TurnedPart, recorded: RecordedPart | None) -> str:
    part = found.part
    label = f", labelled {part.label}" if part.label else ", not labelled"
    pictures = _pictures(recorded.images) if recorded is not None else []
    return (
        f'<section><h3>{html.escape(part.part_id)}: <span class="{part.verdict}">{part.verdict}</span> → '
        f'<span class="{found.verdict}">{found.verdict}</span></h3>'
        f"<p>score {found.before:.2f} by the present threshold, {found.after:.2f} by the new one{label}</p>"
        f"{''.join(pictures) or '<p>no pictures are kept</p>'}</section>"
    )


def _pictures(images: Mapping[str, Path]) -> Sequence[str]:
    return [picture for view, file in images.items() if (picture := _picture(view, file))]


def _picture(view: str, file: Path) -> str:
    try:
        image = read_image(file)
    except (DataError, OSError):  # removed meanwhile
        return ""
    scale = min(1.0, _SIDE / max(image.shape[:2]))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
    encoded = base64.b64encode(data.tobytes()).decode()
    name = html.escape(view)
    return (
        f'<figure><img alt="{name}" src="data:image/jpeg;base64,{encoded}"><figcaption>{name}</figcaption>'
        "</figure>"
    )
