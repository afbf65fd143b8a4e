"""Pixel formats of GenICam cameras to RGB."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edgeflow.contracts.image_files.bit_depth import SHALLOWEST, to_eight_bits
from edgeflow.contracts.images import MAX_PIXELS, RgbImage

__all__ = ["PIXEL_FORMATS", "to_rgb"]


@dataclass(frozen=True, kw_only=True)
class PixelFormat:
    """Memory layout of a pixel format.

    Attributes:
        bits: significant ones of a channel; over 8 they lie in 16, the lowest first.
        conversion: OpenCV's code to RGB; None where it is RGB.
    """

    name: str
    channels: int = 1
    bits: int = 8
    conversion: int | None


# By the number of GenICam's Pixel Format Naming Convention. OpenCV names Bayer patterns alike now.
PIXEL_FORMATS = {
    0x01080001: PixelFormat(name="Mono8", conversion=cv2.COLOR_GRAY2RGB),
    0x01100003: PixelFormat(name="Mono10", bits=10, conversion=cv2.COLOR_GRAY2RGB),
    0x01100005: PixelFormat(name="Mono12", bits=12, conversion=cv2.COLOR_GRAY2RGB),
    0x01100007: PixelFormat(name="Mono16", bits=16, conversion=cv2.COLOR_GRAY2RGB),
    0x01080008: PixelFormat(name="BayerGR8", conversion=cv2.COLOR_BayerGRBG2RGB),
    0x01080009: PixelFormat(name="BayerRG8", conversion=cv2.COLOR_BayerRGGB2RGB),
    0x0108000A: PixelFormat(name="BayerGB8", conversion=cv2.COLOR_BayerGBRG2RGB),
    0x0108000B: PixelFormat(name="BayerBG8", conversion=cv2.COLOR_BayerBGGR2RGB),
    0x02180014: PixelFormat(name="RGB8", channels=3, conversion=None),
    0x02180015: PixelFormat(name="BGR8", channels=3, conversion=cv2.COLOR_BGR2RGB),
    0x02100032: PixelFormat(name="YUV422_8", channels=2, conversion=cv2.COLOR_YUV2RGB_YUYV),
    0x0210001F: PixelFormat(name="YUV422_8_UYVY", channels=2, conversion=cv2.COLOR_YUV2RGB_UYVY),
}


def to_rgb(data: bytes, height: int, width: int, code: int) -> RgbImage:
    """Convert an image of the camera to uint8 (H, W, 3), red first.

    Raises:
        ValueError: an unknown format, a size that cannot be, fewer bytes than the size needs, or a value
            above the format's bits.
    """
    known = PIXEL_FORMATS.get(code)
    if known is None:
        names = ", ".join(f.name for f in PIXEL_FORMATS.values())
        raise ValueError(f"pixel format 0x{code:08X} cannot be used; set PixelFormat to one of {names}")
    if not 0 < height * width <= MAX_PIXELS:
        raise ValueError(f"{width}x{height} pixels, of at most {MAX_PIXELS}")
    count = height * width * known.channels
    deep = known.bits > SHALLOWEST
    size = count * (2 if deep else 1)
    if len(data) < size:
        raise ValueError(f"{len(data)} bytes instead of {size}")
    if deep:
        values = np.frombuffer(data, np.dtype("<u2"), count).astype(np.uint16)
        flat = to_eight_bits(values, known.bits)
    else:
        flat = np.frombuffer(data, np.uint8, count)
    pixels = flat.reshape(height, width, known.channels)
    rgb: RgbImage = pixels if known.conversion is None else cv2.cvtColor(pixels, known.conversion)
    return rgb
