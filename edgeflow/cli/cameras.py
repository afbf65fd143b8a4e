"""``edgeflow cameras`` and ``edgeflow record``: finds cameras, saves, records and frames their images."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import click
from PIL import Image
from rich.console import Console

from edgeflow.bundles.trust import open_admitted
from edgeflow.cameras.discovery import attached_cameras
from edgeflow.capture.framing.charuco_board import DICTIONARIES, BoardSpec, board_image, calibrate_plane
from edgeflow.capture.framing.crop_proposal import BORDER
from edgeflow.capture.framing.foreground_crop import FramedView, bundle_proposals, plain_proposals
from edgeflow.capture.recorder import record as record_sets
from edgeflow.capture.recorder import recording_config
from edgeflow.capture.recorder import snapshot as take_snapshot
from edgeflow.cli.options import FILE, FiniteRange, box_overrides, json_option
from edgeflow.cli.terminal.output import print_json
from edgeflow.clock import utc_now
from edgeflow.config.box import BoxConfig
from edgeflow.config.products.resolve import only_product
from edgeflow.contracts.geometry.view_geometry import MEAN_COLOUR
from edgeflow.contracts.images import RgbImage, read_image
from edgeflow.errors import EdgeflowError, StorageError, UsageError

__all__ = ["cameras", "record"]

POSITIVE = FiniteRange(min=0, min_open=True)
PRINTED_PIXELS_PER_MM = 300 / 25.4
BENT_PX = 1.5
"""From here on, what a lens bends shows in the rectified image."""

F = TypeVar("F", bound=Callable[..., Any])


def _recording_options(command: F) -> F:
    """Add the options of every command that opens a box's cameras."""
    options = (
        click.argument("box", type=FILE),
        click.option("-o", "--output", type=FILE, required=True, metavar="DIR", help="Folder to write to."),
        click.option(
            "--every",
            "every_ms",
            type=FiniteRange(min=0, min_open=True),
            metavar="MS",
            help="Take a view set each so many milliseconds, instead of at the box's trigger.",
        ),
        click.option(
            "--product",
            metavar="NAME",
            help="On a box with several: its camera settings, and its bundle for crops; default: the box "
            "file's product.",
        ),
        box_overrides,
        json_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def cameras() -> None:
    """Find cameras, and see what they see."""


@cameras.command("list")
@json_option
def list_(*, json_output: bool) -> None:
    """List what is attached, as YAML to paste into a box file."""
    found, notes = attached_cameras()
    if json_output:
        print_json({"cameras": [asdict(camera) for camera in found], "notes": notes})
        return
    for note in notes:
        Console(stderr=True, highlight=False).print(f"note: {note}", markup=False)
    if not found:
        print("# no camera found; check power, cables and, for network cameras, addresses")
        return
    lines = ["cameras: # put your views' names instead"]
    for number, camera in enumerate(found, 1):
        # JSON's quoting is YAML's: a serial number of digits stays text.
        values = ", ".join(f"{key}: {json.dumps(value)}" for key, value in camera.config.items())
        lines.append(f"  view{number}: {{{values}}} # {camera.about}")
    print("\n".join(lines))


@cameras.command()
@_recording_options
@click.option(
    "--propose-crops",
    is_flag=True,
    help="Also print a crop round the part of each view, for the recipe's image.geometry: with the other "
    "geometry and by the foreground of the box's bundle, else by what differs from the image's border.",
)
def snapshot(
    box: Path,
    *,
    output: Path,
    overrides: tuple[str, ...],
    every_ms: float | None,
    product: str | None,
    propose_crops: bool,
    json_output: bool,
) -> None:
    """Save one view set of BOX's cameras and a contact sheet of it."""
    config = recording_config(box, overrides, every_ms, product)
    taken = take_snapshot(config, output)
    seen = {view: frame.image for view, frame in taken.frames.items()} if propose_crops else {}
    proposals, note = _proposals(config, seen) if seen else ({}, "")
    if json_output:
        crops = {"crops": {view: _told(framed) for view, framed in proposals.items()}}
        print_json(
            {
                "output": str(output),
                "views": list(taken.frames),
                "missing": taken.missing,
                "skew_ms": taken.skew_ms,
                "fault": taken.fault,
                **(crops if propose_crops else {}),
            }
        )
        return
    skew = "–" if taken.skew_ms is None else f"{taken.skew_ms:.1f} ms"
    missing = f", missing: {', '.join(taken.missing)}" if taken.missing else ""
    fault = f", {taken.fault}" if taken.fault else ""
    text = f"{output}/contact_sheet.png: {len(taken.frames)} views, skew {skew}{missing}{fault}"
    # What is pasted into a recipe stands alone on standard output.
    Console(highlight=False, stderr=propose_crops).print(text, markup=False, soft_wrap=True)
    if propose_crops:
        Console(highlight=False, stderr=True).print(note, markup=False, soft_wrap=True)
        _print_geometry({view: _crop_line(framed) for view, framed in proposals.items()})


@cameras.command()
@click.argument("image", type=FILE)
@click.option("--view", help="Name of the view; default: the image file's.")
@click.option("--squares", default="7x5", show_default=True, metavar="COLUMNSxROWS", help="Of the board.")
@click.option("--square-mm", type=POSITIVE, default=20.0, show_default=True, help="Side of a square.")
@click.option("--marker-mm", type=POSITIVE, default=15.0, show_default=True, help="Side of a marker.")
@click.option("--dictionary", type=click.Choice(DICTIONARIES), default="5X5_100", show_default=True)
@click.option(
    "--area",
    type=click.Choice(["image", "board"]),
    default="image",
    show_default=True,
    help="What the rectified image shows: the plane as far as the camera sees it, or the board alone.",
)
@click.option(
    "--pixels-per-mm", type=POSITIVE, help="Of the rectified image; default: the camera's, at the board."
)
@click.option("-o", "--output", type=FILE, metavar="PNG", help="Write the rectified image, to look at.")
@click.option("--print-board", is_flag=True, help="Write the board to IMAGE instead, for printing.")
@json_option
def calibrate(json_output: bool, image: Path, **options: Any) -> None:
    """Rectify a view: find the plane of a ChArUco board in IMAGE, as YAML for the recipe's image.geometry.

    Lay the board where the parts lie, save its image with 'cameras snapshot', and give that image here.
    """
    spec = _board(options)
    if options["print_board"]:
        _save_picture(image, board_image(spec, options["pixels_per_mm"] or PRINTED_PIXELS_PER_MM))
        Console(highlight=False).print(f"{image}: print it without scaling", markup=False, soft_wrap=True)
        return
    pixels = read_image(image)
    found = calibrate_plane(
        pixels, spec, whole=options["area"] == "image", pixels_per_mm=options["pixels_per_mm"]
    )
    if options["output"] is not None:
        _save_picture(options["output"], found.rectification.image(pixels, MEAN_COLOUR))
    view = options["view"] or image.stem
    if json_output:
        told = asdict(found) | {"view": view, "rectification": found.rectification.model_dump(mode="json")}
        print_json(told)
        return
    size = found.rectification
    text = (
        f"{found.corners} corners lie within {found.error_px:.2f} pixels of a plane (largest "
        f"{found.largest_error_px:.2f}); rectified image {size.width}x{size.height}, "
        f"{found.pixels_per_mm:.3g} pixels per mm"
    )
    Console(stderr=True, highlight=False).print(text, markup=False, soft_wrap=True)
    if found.largest_error_px > BENT_PX:
        note = "note: the lens bends lines; keep the part in the middle, or use a lens with less distortion"
        Console(stderr=True, highlight=False).print(note, markup=False, soft_wrap=True)
    rows = [[float(f"{value:.9g}") for value in row] for row in size.homography]
    plane = f"{{homography: {json.dumps(rows)}, width: {size.width}, height: {size.height}}}"
    camera_size = json.dumps(list(found.camera_size))
    _print_geometry({view: f"{{rectify: {plane}, camera_size: {camera_size}}}"})


def _save_picture(path: Path, image: RgbImage) -> None:
    try:
        Image.fromarray(image).save(path, "PNG")
    except OSError as cause:
        raise StorageError(f"{path}: cannot be written: {cause.strerror}; check folder and space") from cause


def _board(options: Mapping[str, Any]) -> BoardSpec:
    columns, _, rows = options["squares"].partition("x")
    if not (columns.isdecimal() and rows.isdecimal()):
        raise UsageError(f"--squares {options['squares']}: expected COLUMNSxROWS, such as 7x5")
    return BoardSpec(
        columns=int(columns),
        rows=int(rows),
        square_mm=options["square_mm"],
        marker_mm=options["marker_mm"],
        dictionary=options["dictionary"],
    )


def _proposals(config: BoxConfig, images: Mapping[str, RgbImage]) -> tuple[dict[str, FramedView], str]:
    """Crops, in the geometry of the box's bundle where that is to be had; a sentence on their source."""
    product = only_product(config)
    if config.products is not None and product is None:
        why = f"name one with --product: {', '.join(config.products)}"
    elif not config.bundle.exists():
        why = "no bundle yet" if product is None else f"product {product} has no bundle yet"
    else:
        try:
            with open_admitted(config.bundle, config.trust, utc_now(), product) as bundle:
                framed = bundle_proposals(bundle, images, backend=config.runtime.backend)
        except EdgeflowError as error:
            why = f"the bundle's geometry is not followed: {error.message.partition(';')[0]}"
        else:
            sources = dict.fromkeys(each.found.source for each in framed.values())
            return framed, f"crops by {' and '.join(sources)}"
    return plain_proposals(images), f"crops by {BORDER} ({why})"


def _told(framed: FramedView) -> dict[str, object]:
    return {**asdict(framed.found), "geometry": framed.geometry}


def _crop_line(framed: FramedView) -> str:
    values = ", ".join(f"{key}: {json.dumps(value)}" for key, value in framed.geometry.items())
    return f"{{{values}}} # {framed.found.reason or f'by {framed.found.source}'}"


def _print_geometry(views: Mapping[str, str]) -> None:
    """Lines for a recipe's ``image`` section."""
    print("geometry: # goes into the recipe's section image")
    for view, text in views.items():
        print(f"  {json.dumps(view)}: {text}")


@click.command()
@_recording_options
@click.option("-n", "--count", type=click.IntRange(min=1), default=200, show_default=True)
def record(
    box: Path,
    *,
    count: int,
    output: Path,
    overrides: tuple[str, ...],
    every_ms: float | None,
    product: str | None,
    json_output: bool,
) -> None:
    """Record view sets of BOX's cameras, with their timing, for training, scoring and replay."""
    config = recording_config(box, overrides, every_ms, product)
    errors = Console(stderr=True, highlight=False)
    kept = 0
    lost = 0
    for recorded in record_sets(config, count, output):
        if json_output:
            print_json(asdict(recorded))
        elif recorded.why:
            errors.print(f"not kept: {recorded.why}", markup=False)
        kept += bool(recorded.part)
        lost += not recorded.part
    if not json_output:
        text = f"{output}: {kept} view sets recorded, {lost} not kept"
        Console(highlight=False).print(text, markup=False, soft_wrap=True)
