"""Product that was chosen by command, kept over restarts: a box that comes back goes on with it."""

from __future__ import annotations

import logging
from typing import Literal

from pydantic import Field, ValidationError

from edgeflow.capture.part_product import PartProduct
from edgeflow.config.box import BoxConfig
from edgeflow.contracts.documents.document import Document
from edgeflow.errors import StorageError
from edgeflow.files import replace_atomically

__all__ = ["first_product", "keep_product"]

logger = logging.getLogger(__name__)

_MAX_BYTES = 64 * 1024


class _Chosen(Document):
    """The latest choice, and ``product`` of the box file when it was made: who changes that wants it.

    ``product`` is null while a changeover is under way.
    """

    schema_: Literal["edgeflow/product/1"] = Field(default="edgeflow/product/1", alias="schema")
    product: str | None
    box_file: str | None


def first_product(config: BoxConfig) -> PartProduct:
    """Return the product of a box that starts: the latest one that was commanded, else that of its file.

    A record that cannot be read, or that names a product which is gone, chooses none: parts of one product
    must not be judged as those of another.
    """
    if config.trigger.product is not None:
        text = "unknown product: no trigger message tells it"
        return PartProduct(name=None, problem=text)
    path = config.product_path
    try:
        with path.open("rb") as file:
            kept = _Chosen.model_validate_json(file.read(_MAX_BYTES))
    except FileNotFoundError:
        return _of_file(config)
    except (OSError, ValidationError) as cause:
        logger.error("%s: the product that was commanded last cannot be read: %s", path, cause)
        text = f"unknown product: {path.name} cannot be read; command 'product' names it anew"
        return PartProduct(name=None, problem=text)
    if kept.box_file != config.product:
        return _of_file(config)
    return _of_record(kept.product, config)


def keep_product(config: BoxConfig, product: str | None) -> None:
    """Keep a choice, before it counts.

    Args:
        product: None while its cameras are being set up.

    Raises:
        StorageError: the folder cannot be written.
    """
    chosen = _Chosen(product=product, box_file=config.product)
    path = config.product_path
    try:
        with replace_atomically(path) as file:
            file.write(chosen.model_dump_json(by_alias=True).encode())
    except OSError as cause:
        raise StorageError(
            f"{path}: cannot be written: {cause.strerror}; the product stays; check space and rights"
        ) from cause


def _of_file(config: BoxConfig) -> PartProduct:
    if config.product is None:
        text = "unknown product: none is chosen yet; command 'product', or set product in the box file"
        return PartProduct(name=None, problem=text)
    return PartProduct(name=config.product)


def _of_record(product: str | None, config: BoxConfig) -> PartProduct:
    if product in (config.products or {}):
        return PartProduct(name=product)
    if product is None:
        text = "unknown product: the last changeover did not come to its end; command 'product'"
    else:
        text = (
            f"unknown product: '{product}' was commanded last and is not in the box file any more; "
            "command 'product'"
        )
    return PartProduct(name=None, problem=text)
