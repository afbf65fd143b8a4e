"""Products as a box file may write them, brought to the form of the models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeflow.config.products.names import alike, normal_name

__all__ = ["with_product_sections"]


def with_product_sections(data: Any) -> tuple[Any, list[str]]:
    """Return a box file's plain data with a section for every product, and ``bundle`` as the default one's.

    The default product is that of ``product``, else the first. What cannot be read stays as it is, so that
    the models name it.

    Returns:
        The data, and what is wrong with its products as a whole.
    """
    if not isinstance(data, Mapping) or data.get("products") is None:
        return data, []
    products = data["products"]
    if not isinstance(products, Mapping) or not products:
        return {**data, "bundle": "."}, []
    problems = [
        f"products: {' and '.join(repr(name) for name in group)}: people and controllers would take these "
        "names for one; give each product its own"
        for group in alike(products)
    ]
    if data.get("bundle") is not None:
        problems.append("bundle and products exclude each other: give each product its bundle")
    sections = {
        name: {"bundle": entry} if isinstance(entry, str) else entry for name, entry in products.items()
    }
    for name, section in sections.items():
        sections[name] = _with_whole_cameras(name, section, data.get("cameras"), problems)
    product = data.get("product")
    wanted = normal_name(product) if isinstance(product, str) else ""
    by_name = {normal_name(name): section for name, section in sections.items()}
    default = by_name.get(wanted, next(iter(sections.values())))
    path = default.get("bundle") if isinstance(default, Mapping) else None
    return {**data, "products": sections, "bundle": path if isinstance(path, str) else "."}, problems


def _with_whole_cameras(name: str, section: Any, cameras: Any, problems: list[str]) -> Any:
    """A product's section with whole cameras: the box's, with the product's keys in place of theirs."""
    own = section.get("cameras") if isinstance(section, Mapping) else None
    if not isinstance(own, Mapping) or not isinstance(cameras, Mapping):
        return section
    whole: dict[str, Any] = {}
    for view, keys in own.items():
        where, camera = f"products.{name}.cameras.{view}", cameras.get(view)
        if not isinstance(camera, Mapping):
            problems.append(f"{where}: no such camera; there are: {', '.join(cameras)}")
        elif not isinstance(keys, Mapping):
            problems.append(f"{where}: expected a section of keys")
        elif "kind" in keys:
            problems.append(f"{where}.kind: a camera is of one kind for all products; leave it out")
        else:
            whole[view] = {**camera, **keys}
    return {**section, "cameras": whole}
