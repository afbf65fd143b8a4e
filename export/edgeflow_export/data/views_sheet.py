"""A contact sheet of training parts: each view as its camera sees it, and as the network will."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from edgeflow.contracts.geometry.view_geometry import ViewGeometry
from edgeflow.contracts.images import RgbImage, read_image
from edgeflow.contracts.manifest import Preprocessing, ViewSpec
from edgeflow.contracts.preprocess import prepare
from edgeflow.errors import DataError, StorageError
from edgeflow_export.data.dataset import Dataset

__all__ = ["VIEWS_SHEET", "draw_views", "write_views_sheet"]

VIEWS_SHEET = "views.png"
PARTS = 3
_SIDE, _GAP, _LINE = 320, 12, 18
_INK, _FAINT, _PAPER = (32, 36, 40), (112, 118, 124), (255, 255, 255)
_SEEN, _TILE = (255, 140, 0), (0, 200, 255)


def write_views_sheet(dataset: Dataset, path: Path) -> None:
    """Draw the first training parts to a PNG.

    Raises:
        DataError: no parts, an image that cannot be read, or one that its geometry does not fit.
        StorageError: the file cannot be written.
    """
    parts = (*dataset.training, *dataset.validation)[:PARTS]
    if not parts:
        raise DataError(f"{dataset.root}: no normal part to show")
    rows = []
    for part in parts:
        images = [read_image(part.images[view.id], dataset.reading) for view in dataset.views]
        try:
            cells = [
                draw_views(image, view, dataset.preprocessing)
                for image, view in zip(images, dataset.views, strict=True)
            ]
        except DataError as cause:
            raise DataError(f"part {part.part_id}: {cause.message}") from cause
        rows.append(_beside(cells))
    sheet = _below(rows, [f"part {part.part_id}" for part in parts])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(path, "PNG")
    except OSError as cause:
        raise StorageError(f"{path}: cannot be written: {cause.strerror}; check folder and space") from cause


def draw_views(image: RgbImage, view: ViewSpec, spec: Preprocessing) -> Image.Image:
    """One view: the camera's image with what is taken of it outlined, and the model's image with its tiles.

    Args:
        image: the camera's, uint8 (H, W, 3).
    """
    geometry = ViewGeometry(view, (image.shape[0], image.shape[1]))
    model = prepare(image, view, spec)
    left, right = _camera_picture(image, geometry, spec), _model_picture(model, spec)
    cell = Image.new("RGB", (2 * _SIDE + _GAP, _SIDE + 3 * _LINE), _PAPER)
    draw = ImageDraw.Draw(cell)
    font = ImageFont.load_default(13)
    lines = _words(geometry, spec)
    for number, (text, ink) in enumerate(zip(lines, (_INK, _FAINT, _FAINT), strict=True)):
        draw.text((0, number * _LINE), text, ink, font)
    cell.paste(left, (0, 3 * _LINE))
    cell.paste(right, (_SIDE + _GAP, 3 * _LINE))
    return cell


def _words(geometry: ViewGeometry, spec: Preprocessing) -> tuple[str, str, str]:
    view, (height, width) = geometry.view, geometry.camera
    tiles = (
        ""
        if spec.grid is None or spec.tiles is None
        else (f", {len(spec.grid)} tiles of {spec.tiles.width}x{spec.tiles.height}")
    )
    across, down = (a / b for a, b in zip(geometry.size[::-1], (spec.width, spec.height), strict=True))
    unit = "camera" if view.rectify is None else "rectified"
    return (
        f"{view.id}: {width}x{height} -> {spec.width}x{spec.height}{tiles}",
        (view.described or "whole image, stretched").replace("°", " degrees"),
        f"one pixel of the network is {across:.2f} x {down:.2f} {unit} pixels",
    )


def _camera_picture(image: RgbImage, geometry: ViewGeometry, spec: Preprocessing) -> Image.Image:
    picture, scale = _fitted(image)
    size = spec.height, spec.width
    (top, bottom), (left, right) = geometry.content_within(size)
    corners = np.array([(x, y, 1.0) for x, y in ((left, top), (right, top), (right, bottom), (left, bottom))])
    moved = corners @ geometry.to_camera(size).T
    outline = [(float(x / w) * scale, float(y / w) * scale) for x, y, w in moved]
    draw = ImageDraw.Draw(picture)
    draw.line([*outline, outline[0]], _SEEN, 2)
    # The corner that comes to lie top left shows turns and mirroring.
    x, y = outline[0]
    draw.ellipse((x - 5, y - 5, x + 5, y + 5), _SEEN)
    return picture


def _model_picture(model: RgbImage, spec: Preprocessing) -> Image.Image:
    picture, scale = _fitted(model)
    draw = ImageDraw.Draw(picture)
    for row, column in () if spec.grid is None else spec.grid.places:
        box = (column.start, row.start, column.stop, row.stop)
        draw.rectangle(tuple(round(side * scale) for side in box), outline=_TILE)
    return picture


def _fitted(image: RgbImage) -> tuple[Image.Image, float]:
    """The image in a square of ``_SIDE``, and its scale."""
    scale = _SIDE / max(image.shape[:2])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    square = Image.new("RGB", (_SIDE, _SIDE), _PAPER)
    square.paste(Image.fromarray(np.ascontiguousarray(image)).resize(size, Image.Resampling.BILINEAR), (0, 0))
    return square, scale


def _beside(cells: list[Image.Image]) -> Image.Image:
    row = Image.new("RGB", (sum(cell.width + 2 * _GAP for cell in cells), cells[0].height), _PAPER)
    left = 0
    for cell in cells:
        row.paste(cell, (left, 0))
        left += cell.width + 2 * _GAP
    return row


def _below(rows: list[Image.Image], headings: list[str]) -> Image.Image:
    height = rows[0].height + 2 * _LINE
    sheet = Image.new("RGB", (rows[0].width + _GAP, len(rows) * height + _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (row, heading) in enumerate(zip(rows, headings, strict=True)):
        draw.text((_GAP, number * height + 4), heading, _INK, ImageFont.load_default(16))
        sheet.paste(row, (_GAP, number * height + 2 * _LINE))
    return sheet
