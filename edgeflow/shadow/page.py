"""The comparison as one HTML file without links, and as plain data."""

from __future__ import annotations

import base64
import html
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2

from edgeflow.contracts.messages import Result, from_json
from edgeflow.errors import EdgeflowError
from edgeflow.evidence.overview import StoredPart, write_overview
from edgeflow.shadow.comparison import OUTCOMES
from edgeflow.shadow.report import ShadowReport, TurnedPart
from edgeflow.temporary_folder import temporary_folder

__all__ = ["as_data", "as_html"]

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
  color: #222 }
table { border-collapse: collapse; margin: 1rem 0 }
td, th { padding: .25rem .8rem .25rem 0; text-align: left }
td.n { text-align: right } tr { border-bottom: 1px solid #ddd }
figure { display: inline-block; margin: 0 1rem 1.2rem 0; vertical-align: top }
figcaption { color: #555; font-size: 13px } img { max-width: 100%; border: 1px solid #ccc }
section { border-top: 1px solid #ccc; margin-top: 1rem }
.wrong { color: #b00020 }
"""
_MOST_PICTURED = 60  # of each kind: one file that a browser opens and a mail takes
_TITLES = {"to_ng": "OK that would turn to NG", "to_ok": "NG that would turn to OK"}


def as_data(report: ShadowReport) -> dict[str, Any]:
    """Return the report as plain data."""
    return {
        "schema": "edgeflow/shadow-report/1",
        "candidate": asdict(report.candidate),
        "since": report.since,
        "compared": report.compared,
        "outcomes": dict(report.outcomes),
        "skipped": dict(report.skipped),
        "skipped_share": round(report.skipped_share, 4),
        "labels": asdict(report.labels),
        "turned": [
            {**asdict(one.part), "label": one.label, "picture": str(one.picture) if one.picture else None}
            for one in report.turned
        ],
    }


def as_html(report: ShadowReport) -> str:
    """Return the report as one page, with the pictures that are kept."""
    candidate = report.candidate
    title = f"{candidate.name} version {candidate.version} beside the running bundle"
    counts = "".join(
        f"<tr><td>{html.escape(OUTCOMES[outcome])}</td><td class=n>{report.outcomes[outcome]}</td></tr>"
        for outcome in OUTCOMES
    )
    skipped = "".join(
        f"<tr><td>not compared: {html.escape(reason)}</td><td class=n>{count}</td></tr>"
        for reason, count in report.skipped.items()
    )
    labels = report.labels
    labelled = (
        f"<p>Of {labels.parts} labelled parts, the running bundle judged {labels.running_right} rightly, the "
        f"candidate {labels.candidate_right}.</p>"
        if labels.parts
        else "<p>No compared part has a label yet; label those below to see who is right.</p>"
    )
    body = "".join(_group(report, outcome) for outcome in _TITLES)
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title>"
        f"<style>{_STYLE}</style><h1>{html.escape(title)}</h1>"
        f"<p>SHA-256 {candidate.sha256[:16]}, graph {html.escape(candidate.graph)}, compared since "
        f"{html.escape(report.since)}; {report.compared} parts compared, {report.skipped_share:.1%} not "
        f"compared.</p><table>{counts}{skipped}</table>{labelled}{body}</html>"
    )


def _group(report: ShadowReport, outcome: str) -> str:
    parts = [one for one in report.turned if one.part.outcome == outcome]
    shown = "".join(_part(one, pictured=n < _MOST_PICTURED) for n, one in enumerate(parts)) or "<p>None.</p>"
    return f"<h2>{_TITLES[outcome]}: {report.outcomes[outcome]}</h2>{shown}"


def _part(one: TurnedPart, *, pictured: bool) -> str:
    part = one.part
    label = ""
    if one.label is not None:
        right = "the candidate is right" if one.label == part.verdict else "the running bundle is right"
        label = f"; labelled {html.escape(one.label)}: <b>{right}</b>"
    pictures = ""
    if pictured and one.picture is not None:
        pictures += _figure("as the candidate sees it", one.picture.read_bytes(), "jpeg")
    evidence = _evidence(part.evidence) if pictured else None
    if evidence is not None:
        pictures += _figure("kept evidence, with the running bundle's maps", evidence, "jpeg")
    return (
        f"<section><p><b>{html.escape(part.part_id)}</b> {html.escape(part.decided_at)}: running "
        f"{part.running} at {_score(part.running_score)}, candidate {part.verdict} at {_score(part.score)}"
        f"{label}</p>{pictures}</section>"
    )


def _figure(caption: str, data: bytes, kind: str) -> str:
    text = base64.b64encode(data).decode()
    return (
        f'<figure><img src="data:image/{kind};base64,{text}" alt="{caption}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _evidence(folder: str | None) -> bytes | None:
    """The overview of a part's evidence; None where it is no longer kept."""
    if folder is None:
        return None
    place = Path(folder)
    try:
        result = from_json(Result, (place / "result.json").read_bytes())
        with temporary_folder() as made:
            write_overview(StoredPart(folder=place, size=0, result=result), made / "overview.png")
            image = cv2.imread(str(made / "overview.png"))
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 80])
        return data.tobytes()
    except (OSError, EdgeflowError, cv2.error):
        return None


def _score(score: float | None) -> str:
    return "no score" if score is None else f"{score:.2f}"
