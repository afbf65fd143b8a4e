"""From a recipe to parts: which ones train, validate and test, and their pixels as the model sees them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from edgeflow.contracts.datasets.data_depth import DataDepth, data_depth, require_filled_range
from edgeflow.contracts.datasets.evidence_folders import require_good_evidence
from edgeflow.contracts.datasets.find_parts import RecordedPart, find_parts
from edgeflow.contracts.datasets.recipe_choices import recipe_choices
from edgeflow.contracts.image_files.bit_depth import DEEPEST, SHALLOWEST
from edgeflow.contracts.image_files.mask_sources import (
    defect_mask_size,
    missing_mask_files,
    read_defect_mask,
)
from edgeflow.contracts.images import Reading, RgbImage, image_size, read_image
from edgeflow.contracts.manifest import Preprocessing, ViewSpec
from edgeflow.contracts.preprocess import prepare, prepare_mask, reading_of
from edgeflow.errors import DataError
from edgeflow_export.data.splitting import split_for_stopping, split_normal_parts, with_unannotated
from edgeflow_export.data.view_specs import view_specs
from edgeflow_export.recipe import ImportRecipe, Recipe

__all__ = [
    "Dataset",
    "Images",
    "Masks",
    "ahead",
    "iterate_images",
    "load_dataset",
    "load_images",
    "load_masks",
    "require_depth",
    "require_test_parts",
    "require_training_parts",
]

Images = npt.NDArray[np.uint8]
"""Model images of one part, uint8 (V, H, W, 3)."""

Masks = npt.NDArray[np.bool_]
"""Defect masks of one part, (V, h, w)."""

# Threads: decoding and resizing release the interpreter's lock.
EIGHT_BITS = DataDepth(bits=8, deep=False, turned=False)
READERS = min(16, max(4, os.cpu_count() or 1))
_LOOK_AHEAD = 16

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """The parts of a recipe.

    Attributes:
        views: geometry of every view, in the order of the model's first axis.
        training: normal parts that the flow learns from.
        validation: normal parts held out for thresholds.
        stopping: normal parts that tell early stopping when to stop; empty without it. They are in no other
            set, since a part that has chosen the flow says too little of what new parts will score.
        test: all parts of the test split; empty where the layout has none.
        depth: of the image files, and whether any is to be turned.
    """

    root: Path
    views: tuple[ViewSpec, ...]
    preprocessing: Preprocessing
    training: tuple[RecordedPart, ...]
    validation: tuple[RecordedPart, ...]
    test: tuple[RecordedPart, ...]
    depth: DataDepth = EIGHT_BITS
    stopping: tuple[RecordedPart, ...] = ()

    @property
    def view_ids(self) -> tuple[str, ...]:
        """Names of the views, in order."""
        return tuple(view.id for view in self.views)

    @property
    def reading(self) -> Reading:
        """Rules by which image files become pixels."""
        return reading_of(self.preprocessing)

    @property
    def reads_as_before(self) -> bool:
        """True if versions that knew neither depth nor orientation read the same pixels."""
        return not self.depth.turned and self.depth.bits in (SHALLOWEST, DEEPEST)


def load_dataset(recipe: Recipe | ImportRecipe, *, root: Path | None = None) -> Dataset:
    """Find the parts of a recipe and split them; of the images only headers are read.

    Which normal parts are held out for thresholds, and which for early stopping, depends on the seed and on
    each part's own name, so parts that join later do not move the others.

    Args:
        root: another folder than the recipe's, for instance where data has moved.

    Raises:
        DataError: no parts, parts with missing views, defective parts or unsorted evidence of rejected ones
            among those for training, a mirroring that does not fit the views or the class, images of
            different depth, or too few parts for early stopping.
    """
    folder = root or recipe.data.root
    data = recipe.data
    layout, split = data.layout, data.split
    if root is not None:  # other parts than the recipe's may be laid out otherwise
        choices = recipe_choices({"data": data.model_dump()}, root)
        layout, split = choices.layout, choices.split
    parts = with_unannotated(
        find_parts(folder, class_name=data.class_name, views=data.views, layout=layout, split=split),
        data.unannotated,
        folder,
    )
    candidates = [part for part in parts if part.split != "test"]
    wrong = [f"part {part.part_id}: {part.label}" for part in candidates if part.defective]
    if wrong:
        raise DataError(
            f"{folder}: {len(wrong)} defective part(s) in the training split; the flow learns from normal "
            "parts only: move them to the test split",
            problems=wrong,
        )
    require_good_evidence(candidates)
    # Parts that the box had rejected teach what is normal too, and set no threshold: see ``overruled``.
    overruled = tuple(part for part in candidates if part.overruled)
    usual = [part for part in candidates if not part.overruled]
    learning, validation = split_normal_parts(usual, data.validation_fraction, recipe.training.seed)
    training, stopping = split_for_stopping(learning, validation, recipe)
    training += overruled
    image = recipe.image
    assert image is not None  # noqa: S101 - of a network from elsewhere it is known since its file was read
    views = view_specs(parts, data, image)
    files = [part.images[view.id] for part in parts for view in views]
    depth = data_depth(files, declared=image.bits, what=str(folder))
    return Dataset(
        root=folder,
        views=views,
        preprocessing=Preprocessing(
            height=image.height,
            width=image.width,
            bits=depth.bits,
            orientation="followed",
            tiles=image.tiles,
        ),
        training=training,
        validation=validation,
        test=tuple(part for part in parts if part.split == "test"),
        depth=depth,
        stopping=stopping,
    )


def require_depth(dataset: Dataset, *, allow_dark: bool) -> None:
    """Check that the images to train on have the depth that they are read with.

    Raises:
        DataError: 8-bit images where more bits are declared, or a view whose values use less than a quarter
            of the range.
    """
    bits = dataset.depth.bits
    if not dataset.depth.deep:
        if bits > SHALLOWEST:
            raise DataError(f"{dataset.root}: image.bits: {bits}, but the images have 8 bits; leave it out")
    elif not allow_dark:
        parts = (*dataset.training, *dataset.stopping, *dataset.validation)
        views = {view: [part.images[view] for part in parts] for view in dataset.view_ids}
        remedy = "accept them with image.allow_dark: true"
        require_filled_range(views, bits, what=str(dataset.root), remedy=remedy)


def require_training_parts(dataset: Dataset, batch: int) -> None:
    """Check that there is enough to train on.

    Raises:
        DataError: no normal parts, none to hold out, or fewer than one batch.
    """
    count = len(dataset.training)
    if not count or not dataset.validation:
        raise DataError(
            f"{dataset.root}: {count + len(dataset.validation)} normal part(s) to train on; at least "
            "2 are needed, and hundreds are better"
        )
    if count < batch:
        raise DataError(
            f"{dataset.root}: {count} training parts are less than one batch of {batch}; record more "
            "parts, or lower training.batch"
        )


def require_test_parts(dataset: Dataset) -> None:
    """Check that the test parts can be evaluated.

    Raises:
        DataError: no normal or no defective test parts, or some defective ones whose masks are missing.
    """
    normal = sum(1 for part in dataset.test if not part.defective)
    defective = len(dataset.test) - normal
    if not normal or not defective:
        raise DataError(
            f"{dataset.root}: {normal} normal and {defective} defective test parts; evaluation needs both: "
            "lay the data out with a test split, as Real-IAD or MVTec AD does, or in folders as "
            "test/good/PART/VIEW.png and test/DEFECT/PART/VIEW.png"
        )
    without = [
        part
        for part in dataset.test
        if part.defective and not any(part.masks.get(view) for view in dataset.view_ids)
    ]
    # Folders without ground truth are parts that nobody drew masks for; they are ranked all the same.
    problems = [
        f"part {part.part_id}: {part.label}, but no view has a mask"
        for part in without
        if part.masks or len(without) < defective
    ]
    problems += [
        f"part {part.part_id}: {view}: no such mask {mask}"
        for part in dataset.test
        for view, source in part.masks.items()
        if source is not None and view in dataset.view_ids
        for mask in missing_mask_files(source)
    ]
    if problems:
        raise DataError(
            f"{dataset.root}: {len(problems)} missing mask(s); add them, or take these parts out of the test "
            "split",
            problems=problems,
        )


def load_images(part: RecordedPart, dataset: Dataset) -> Images:
    """Model images of one part, uint8 (V, H, W, 3).

    Raises:
        DataError: a file cannot be decoded or is smaller than its crop.
    """
    images = [read_image(part.images[view.id], dataset.reading) for view in dataset.views]
    return prepared(part, images, dataset)


def prepared(part: RecordedPart, images: Sequence[RgbImage], dataset: Dataset) -> Images:
    """Model images, uint8 (V, H, W, 3), of a part's images in the order of the views.

    Raises:
        DataError: an image does not fit its view's geometry; names part and view.
    """
    spec = dataset.preprocessing
    try:
        return np.stack([prepare(image, v, spec) for image, v in zip(images, dataset.views, strict=True)])
    except DataError as cause:
        raise DataError(f"part {part.part_id}: {cause.message}") from cause


def iterate_images(parts: Iterable[RecordedPart], dataset: Dataset) -> Iterator[Images]:
    """Model images of each part, read ahead by a few threads."""
    return ahead(lambda part: load_images(part, dataset), parts)


def load_masks(part: RecordedPart, dataset: Dataset, size: tuple[int, int]) -> Masks:
    """Defect masks (V, height, width) of one part; all False where a view is normal.

    Raises:
        DataError: a mask file cannot be decoded, or has another size than its image.
    """
    masks = np.zeros((len(dataset.views), *size), np.bool_)
    for index, view in enumerate(dataset.views):
        path = part.masks.get(view.id)
        if path is None:
            continue
        image = part.images[view.id]
        height, width = image_size(image)
        shape = defect_mask_size(path)
        if shape != (height, width):
            raise DataError(
                f"part {part.part_id}, view {view.id}: the mask {path} is {shape[1]}x{shape[0]}, "
                f"its image {image} is {width}x{height}; export the mask at the image's size"
            )
        masks[index] = prepare_mask(read_defect_mask(path), view, size)
    return masks


def ahead(work: Callable[[A], B], items: Iterable[A], *, most: int = _LOOK_AHEAD) -> Iterator[B]:
    """``map`` with a few threads and at most so many results in memory, in order."""
    with ThreadPoolExecutor(READERS) as pool:
        pending: deque[Future[B]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(work, item))
                if len(pending) >= most:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
