"""The layout of a contact sheet: panels side by side, cells of labelled tiles in each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from edgeflow.contracts.images import RgbImage
from edgeflow.contracts.manifest import Scale
from edgeflow.scoring.heatmap import heat_overlay

__all__ = ["Cell", "Legend", "Panel", "Tile", "draw_sheet", "tile_width"]

PANEL_WIDTH = 780  # at least; many views make it wider
SMALLEST_TILE, LARGEST_TILE = 96, 240
GAP, MARGIN, BETWEEN = 4, 28, 40
TITLE_HEIGHT, HEADING_HEIGHT, CAPTION_HEIGHT, CELL_SPACE, LEGEND_HEIGHT = 44, 40, 24, 14, 60
INK, FAINT, PAPER = (32, 36, 40), (112, 118, 124), (255, 255, 255)
_LEGEND_BAR = (240, 12)


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One picture (h, w, 3) with a few words in its corner."""

    picture: RgbImage
    caption: str


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One part: its views side by side below its name and score."""

    label: str
    part_id: str
    score: str
    tiles: tuple[Tile, ...]


@dataclass(frozen=True, kw_only=True)
class Legend:
    """The meaning of colours and marks.

    Attributes:
        one: what a value of 1 on the colour scale is.
    """

    one: str
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Parts of one kind."""

    heading: str
    cells: tuple[Cell, ...]


def tile_width(views: int) -> int:
    """Width of a tile in pixels, so that a part's views fill a panel."""
    return max(SMALLEST_TILE, min(LARGEST_TILE, (PANEL_WIDTH - GAP * (views - 1)) // views))


def draw_sheet(title: str, panels: tuple[Panel, ...], tile: tuple[int, int], legend: Legend) -> Image.Image:
    """Draw panels side by side.

    Args:
        tile: height and width of every tile.
    """
    views = max((len(cell.tiles) for panel in panels for cell in panel.cells), default=1)
    cell_width = views * (tile[1] + GAP) - GAP
    columns = max(1, (PANEL_WIDTH + CELL_SPACE) // (cell_width + CELL_SPACE))
    panel_width = max(PANEL_WIDTH, cell_width)
    lines = max(-(-len(panel.cells) // columns) for panel in panels)
    line_height = CAPTION_HEIGHT + tile[0] + CELL_SPACE
    width = 2 * MARGIN + len(panels) * (panel_width + BETWEEN) - BETWEEN
    top = MARGIN + TITLE_HEIGHT
    sheet = Image.new(
        "RGB", (width, top + HEADING_HEIGHT + max(1, lines) * line_height + LEGEND_HEIGHT), PAPER
    )
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN), _fitting(title, width - 2 * MARGIN, 20), INK, _font(20, bold=True))
    for number, panel in enumerate(panels):
        left = MARGIN + number * (panel_width + BETWEEN)
        draw.text((left, top), _fitting(panel.heading, panel_width, 16), INK, _font(16, bold=True))
        draw.line((left, top + 27, left + panel_width, top + 27), FAINT)
        for index, cell in enumerate(panel.cells):
            x = left + index % columns * (cell_width + CELL_SPACE)
            y = top + HEADING_HEIGHT + index // columns * line_height
            _draw_cell(sheet, draw, cell, (x, y), cell_width)
    _draw_legend(sheet, draw, sheet.height - LEGEND_HEIGHT + 8, legend)
    return sheet


def _draw_cell(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, cell: Cell, corner: tuple[int, int], width: int
) -> None:
    x, y = corner
    score_width = draw.textlength(cell.score, _font(14, bold=True))
    draw.text((x + width - score_width, y), cell.score, INK, _font(14, bold=True))
    room = width - score_width - 12
    label = _fitting(cell.label, room / 2, 14)
    draw.text((x, y), label, INK, _font(14, bold=True))
    label_width = draw.textlength(label + "  ", _font(14, bold=True))
    # Part names differ at their end.
    draw.text(
        (x + label_width, y), _fitting(cell.part_id, room - label_width, 14, keep_end=True), FAINT, _font(14)
    )
    for tile in cell.tiles:
        picture = Image.fromarray(tile.picture)
        sheet.paste(picture, (x, y + CAPTION_HEIGHT))
        draw.text(
            (x + 5, y + CAPTION_HEIGHT + picture.height - 20),
            _fitting(tile.caption, picture.width - 8, 12, keep_end=True),
            (255, 255, 255),
            _font(12),
            stroke_width=2,
            stroke_fill=(0, 0, 0),
        )
        x += picture.width + GAP


def _draw_legend(sheet: Image.Image, draw: ImageDraw.ImageDraw, y: int, legend: Legend) -> None:
    """The colours from the scale's centre to twice its threshold, and what else the tiles show."""
    width, height = _LEGEND_BAR
    ramp = np.linspace(0, 2, width, dtype=np.float32)[np.newaxis].repeat(height, 0)
    grey = np.full((height, width, 3), 176, np.uint8)
    sheet.paste(Image.fromarray(heat_overlay(grey, ramp, Scale(centre=0.0, threshold=1.0))), (MARGIN, y))
    for share, text in ((0.0, "0"), (0.5, f"1 = {legend.one}"), (1.0, "2")):
        at = MARGIN + share * width
        draw.line((at, y + height, at, y + height + 4), FAINT)
        draw.text((at, y + height + 5), text, FAINT, _font(12), anchor="ma" if share else "la")
    draw.text(
        (MARGIN + width + 32, y - 3),
        "   ·   ".join(legend.notes),
        FAINT,
        _font(12),
    )


def _fitting(text: str, width: float, size: int, *, keep_end: bool = False) -> str:
    """As much of a text as fits, with an ellipsis for the rest."""
    font = _font(size)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"…{text}") > width:
        text = text[1:] if keep_end else text[:-1]
    return f"…{text}" if keep_end else f"{text}…"


@cache
def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The font that matplotlib brings along: the same on every machine, with most alphabets."""
    weight = "bold" if bold else "normal"
    return ImageFont.truetype(font_manager.findfont(f"DejaVu Sans:{weight}"), size)
