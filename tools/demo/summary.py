"""The demo's end: verdicts against the ground truth, and a contact sheet of the rejected parts."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.table import Table

from edgeflow.contracts.datasets.find_parts import RecordedPart
from edgeflow.contracts.messages import Result

TILE = 160
CAPTION = 34
MARGIN = 8


def print_summary(console: Console, parts: Sequence[RecordedPart], results: Mapping[str, Result]) -> None:
    """Print a table of verdicts per kind of part."""
    table = Table(
        "parts", "number", "OK", "NG", "UNDECIDED", "as they should be", title="verdicts against ground truth"
    )
    verdicts: dict[str, Counter[str]] = {}
    for part in parts:
        result = results.get(part.part_id)
        verdicts.setdefault(part.label or "?", Counter())[result.verdict if result else "none"] += 1
    for label, counts in sorted(verdicts.items(), key=lambda item: (item[0] != "OK", item[0])):
        number = sum(counts.values())
        right = counts["OK" if label == "OK" else "NG"]
        name = "normal" if label == "OK" else label
        table.add_row(
            name, str(number), *(str(counts[v]) for v in ("OK", "NG", "UNDECIDED")), f"{right / number:.0%}"
        )
    console.print(table)
    times = sorted(result.durations_ms["score"] for result in results.values())
    if times:
        console.print(f"scoring: median {times[len(times) // 2]:.0f} ms, slowest {times[-1]:.0f} ms per part")


def write_contact_sheet(parts: Sequence[RecordedPart], results: Mapping[str, Result], output: Path) -> Path:
    """Write ``rejected.png`` and ``rejected.html``; returns their path without suffix.

    One row per rejected part: every view with its heat map; the defect's real name in the caption.
    """
    labels = {part.part_id: part.label or "?" for part in parts}
    rejected = [result for result in results.values() if result.verdict != "OK" and result.evidence]
    rejected.sort(key=lambda result: labels.get(result.part_id, ""))
    rows = [_row(result, labels.get(result.part_id, "?")) for result in rejected]
    target = output / "rejected"
    if rows:
        width = max(row.width for row in rows)
        sheet = Image.new("RGB", (width, sum(row.height for row in rows)), "white")
        top = 0
        for row in rows:
            sheet.paste(row, (0, top))
            top += row.height
        sheet.save(target.with_suffix(".png"))
    target.with_suffix(".html").write_text(_page(rejected, labels, output), encoding="utf-8")
    return target


def _row(result: Result, label: str) -> Image.Image:
    folder = Path(result.evidence or "")
    row = Image.new("RGB", (MARGIN + len(result.views) * (TILE + MARGIN), CAPTION + TILE + MARGIN), "white")
    draw = ImageDraw.Draw(row)
    truth = "normal: rejected wrongly" if label == "OK" else label
    draw.text(
        (MARGIN, 4), f"{result.part_id}   {result.verdict}   {truth}", "black", ImageFont.load_default(13)
    )
    for index, view in enumerate(result.views):
        left = MARGIN + index * (TILE + MARGIN)
        score = "-" if view.score is None else f"{view.score:.2f}"
        colour = "firebrick" if view.score is not None and view.score > 1 else "gray"
        draw.text((left, 19), f"{view.id}  {score}", colour, ImageFont.load_default(11))
        path = folder / f"{view.id}_heat.png"
        if path.is_file():
            with Image.open(path) as image:
                row.paste(image.resize((TILE, TILE)), (left, CAPTION))
    return row


def _page(rejected: Sequence[Result], labels: Mapping[str, str], output: Path) -> str:
    blocks = []
    for result in rejected:
        folder = Path(result.evidence or "")
        label = labels.get(result.part_id, "?")
        truth = "a normal part, rejected wrongly" if label == "OK" else f"really: {label}"
        figures = []
        for view in result.views:
            score = "not scored" if view.score is None else f"{view.score:.2f}"
            pictures = "".join(
                f'<img src="{html.escape(str(path.relative_to(output.resolve())))}" alt="{view.id}">'
                for suffix in ("", "_heat")
                if (path := folder / f"{view.id}{suffix}.png").is_file()
            )
            hot = ' class="hot"' if view.score is not None and view.score > 1 else ""
            figures.append(
                f"<figure{hot}>{pictures}<figcaption>{html.escape(view.id)}: {score}</figcaption></figure>"
            )
        blocks.append(
            f"<section><h2>{html.escape(result.part_id)} <small>{html.escape(truth)}</small></h2>"
            f"<p>{html.escape(result.verdict)}: {html.escape(result.reason)}</p>{''.join(figures)}</section>"
        )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Rejected parts</title><style>"
        "body{font:15px system-ui,sans-serif;margin:2em;max-width:90em}img{width:10em;display:block}"
        "figure{display:inline-block;margin:.4em;padding:.3em;border:2px solid #ddd}"
        ".hot{border-color:#b22}small{color:#666;font-weight:normal}</style>"
        "<h1>Rejected parts</h1><p>Rendered parts, not photographed. A view score of 1.00 is the threshold; "
        "colours are tied to it, so that pictures compare.</p>" + "".join(blocks) + "</html>\n"
    )
