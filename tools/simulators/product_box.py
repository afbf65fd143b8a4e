"""A whole box with two products, whose bundles can be told apart by every score and every verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from simulators.small_box import write_box
from simulators.small_bundle import VIEWS, small_bundle

__all__ = ["OFFSET", "good_verdict", "write_product_box"]

OFFSET = 2000.0
"""Lowest score under B's bundle; A's give at most 265."""


def write_product_box(folder: Path, port: int, **changes: Any) -> Path:
    """Write ``box.yaml`` with the products A (``a.bundle``, a link) and B (``b.bundle``, a link).

    Under A's bundles every part is OK, under B's NG: a part judged by the wrong one shows at the gate.
    Beside them lie ``a1.bundle`` and ``a2.bundle``, the one that A may be given instead.

    Args:
        changes: keys of the box file, replaced whole.
    """
    path = write_box(folder, port)
    bundles = folder / "bundles"
    if not (bundles / "a.bundle").is_symlink():
        scale = {"centre": 0.0, "threshold": 1000.0}
        thresholds = {
            "part": scale,
            "views": dict.fromkeys(VIEWS, scale),
            "false_reject_rate": 0.01,
            "normal_parts": 99,
        }
        small_bundle(bundles / "a1.bundle", version=1, thresholds=thresholds)
        small_bundle(bundles / "a2.bundle", version=2, offset=10.0, thresholds=thresholds)
        small_bundle(bundles / "b1.bundle", name="gasket", version=1, offset=OFFSET, thresholds=thresholds)
        (bundles / "a.bundle").symlink_to("a1.bundle")
        (bundles / "b.bundle").symlink_to("b1.bundle")
    document = yaml.safe_load(path.read_text())
    del document["bundle"]
    document |= {"products": {"A": "bundles/a.bundle", "B": "bundles/b.bundle"}, **changes}
    path.write_text(yaml.safe_dump(document))
    return path


def good_verdict(product: str) -> str:
    """Return the verdict of every part under the product's own bundle."""
    return "OK" if product == "A" else "NG"
