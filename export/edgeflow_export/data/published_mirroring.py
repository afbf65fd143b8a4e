"""Multi-Flow's published mirroring: which cameras of each Real-IAD class are flipped while loading."""

from __future__ import annotations

import difflib

from edgeflow.errors import DataError

__all__ = ["MIRRORING", "published_mirroring"]

# Per class one digit for each of the cameras C1 to C5; 1: flipped left-right, so that all views agree.
MIRRORING = {
    "audiojack": "01000",
    "bottle_cap": "00000",
    "button_battery": "01111",
    "end_cap": "01100",
    "eraser": "10000",
    "fire_hood": "01100",
    "mint": "01110",
    "mounts": "10000",
    "pcb": "01000",
    "phone_battery": "01110",
    "plastic_nut": "01100",
    "plastic_plug": "01110",
    "porcelain_doll": "10001",
    "regulator": "01111",
    "rolled_strip_base": "10000",
    "sim_card_set": "01100",
    "switch": "01111",
    "tape": "10000",
    "terminalblock": "10000",
    "toothbrush": "01110",
    "toy": "01111",
    "toy_brick": "10001",
    "transistor1": "01111",
    "u_block": "10011",
    "usb": "01000",
    "usb_adaptor": "01100",
    "vcpill": "10001",
    "wooden_beads": "01000",
    "woodstick": "01100",
    "zipper": "01100",
}


def published_mirroring(class_name: str) -> tuple[str, ...]:
    """The mirrored views of a Real-IAD class, as published: some of ``C1`` to ``C5``.

    Raises:
        DataError: no class of Real-IAD; the classes are named.
    """
    if class_name not in MIRRORING:
        near = difflib.get_close_matches(class_name, MIRRORING, n=1, cutoff=0.6)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise DataError(
            f"no published mirroring for class '{class_name}'{hint}; there is one for "
            f"{', '.join(MIRRORING)}; for another product list the mirrored views themselves in data.mirror"
        )
    digits = MIRRORING[class_name]
    return tuple(f"C{camera}" for camera, digit in enumerate(digits, start=1) if digit == "1")
