"""Surface textures, as images of colour and of slope, and the light dome that the metal mirrors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rendering.mesh import TEXTURE_MM, Array

__all__ = ["MATERIALS", "VARIANTS", "Material", "Texture", "dome", "make_texture"]

Image = NDArray[np.float32]

PIXELS = 512
VARIANTS = 4
"""Number of versions of each texture; every part takes one of them, shifted by its own amount."""


@dataclass(frozen=True, kw_only=True)
class Material:
    """Optical properties of a surface; colour is linear RGB, `finish` names its texture."""

    colour: tuple[float, float, float]
    metallic: float
    roughness: float
    finish: str | None = None
    opacity: float = 1.0


MATERIALS = {
    "milled": Material(colour=(0.66, 0.67, 0.68), metallic=1.0, roughness=0.38, finish="milled"),
    "sawn": Material(colour=(0.62, 0.63, 0.64), metallic=1.0, roughness=0.50, finish="brushed"),
    "turned": Material(colour=(0.70, 0.71, 0.72), metallic=1.0, roughness=0.34, finish="brushed"),
    "cast": Material(colour=(0.40, 0.41, 0.42), metallic=0.85, roughness=0.62, finish="cast"),
    "tray": Material(colour=(0.030, 0.034, 0.040), metallic=0.0, roughness=0.75, finish="moulded"),
    "bore": Material(colour=(0.15, 0.15, 0.155), metallic=1.0, roughness=0.45),
    "socket": Material(colour=(0.02, 0.02, 0.02), metallic=0.3, roughness=0.5),
    "race": Material(colour=(0.72, 0.72, 0.73), metallic=1.0, roughness=0.22),
    "black_steel": Material(colour=(0.075, 0.075, 0.08), metallic=0.6, roughness=0.42),
    "brass": Material(colour=(0.72, 0.47, 0.15), metallic=1.0, roughness=0.34),
    "seal_blue": Material(colour=(0.012, 0.085, 0.32), metallic=0.0, roughness=0.5),
    "seal_black": Material(colour=(0.018, 0.018, 0.02), metallic=0.0, roughness=0.5),
    "seal_red": Material(colour=(0.33, 0.035, 0.025), metallic=0.0, roughness=0.5),
    "seal_green": Material(colour=(0.02, 0.17, 0.07), metallic=0.0, roughness=0.5),
    "groove": Material(colour=(0.92, 0.92, 0.93), metallic=1.0, roughness=0.25),
    "dark_groove": Material(colour=(0.10, 0.10, 0.10), metallic=0.7, roughness=0.5),
    "fracture": Material(colour=(0.20, 0.20, 0.21), metallic=0.5, roughness=0.75),
    "oil": Material(colour=(0.020, 0.012, 0.004), metallic=0.0, roughness=0.12, opacity=0.72),
    "swarf": Material(colour=(0.80, 0.74, 0.62), metallic=1.0, roughness=0.22),
}


@dataclass(frozen=True, kw_only=True)
class Texture:
    """One square of surface, repeating at its borders: colour and slope images (n, n, 3), uint8."""

    colour: NDArray[np.uint8]
    slope: NDArray[np.uint8]


def make_texture(material: Material, variant: int) -> Texture:
    """The given version of a material's finish, always the same one."""
    if material.finish is None:
        raise ValueError("this material has no finish; draw it in its plain colour")
    rng = np.random.default_rng([sorted(_FINISHES).index(material.finish), variant])
    height_mm, shade = _FINISHES[material.finish](rng)
    step_mm = 2 * TEXTURE_MM / PIXELS
    slope_x = (np.roll(height_mm, -1, axis=1) - np.roll(height_mm, 1, axis=1)) / step_mm
    slope_y = (np.roll(height_mm, -1, axis=0) - np.roll(height_mm, 1, axis=0)) / step_mm
    normal = np.stack([-slope_x, -slope_y, np.ones_like(slope_x)], axis=2)
    normal /= np.linalg.norm(normal, axis=2, keepdims=True)
    tone = np.clip(shade, 0.0, 1.0 / max(material.colour)) ** np.float32(1 / 2.2)
    colour = tone[..., None] * np.asarray(material.colour, dtype=np.float32) ** np.float32(1 / 2.2)
    return Texture(
        colour=np.rint(colour * 255).astype(np.uint8), slope=np.rint((normal + 1) * 127.5).astype(np.uint8)
    )


def dome(height: int = 64) -> NDArray[np.float32]:
    """The inspection cell's light dome as a linear panorama (height, 2·height, 3), zenith in the last row."""
    elevation = np.linspace(-np.pi / 2, np.pi / 2, height)[:, None]
    azimuth = np.linspace(-np.pi, np.pi, 2 * height, endpoint=False)[None, :]
    light = 0.24 + 0.42 * np.clip(np.sin(elevation), 0.0, 1.0) ** 0.7 + 0.0 * azimuth
    for centre, height_rad, width, tall, power in (
        (0.6, 1.00, 0.50, 0.20, 1.5),
        (2.7, 0.90, 0.45, 0.18, 1.2),
        (-1.9, 0.95, 0.55, 0.20, 1.4),
        (-0.6, 0.15, 0.50, 0.12, 0.7),
        (1.7, 0.10, 0.50, 0.10, 0.6),
    ):
        away = np.angle(np.exp(1j * (azimuth - centre)))
        light = light + power * _soft_box(away / width) * _soft_box((elevation - height_rad) / tall)
    lens = _soft_box((elevation - np.pi / 2) / 0.14)  # the top camera looks through a hole in the dome
    light = light * (1 - 0.6 * lens)
    tint = np.array([1.0, 0.995, 0.98])
    return np.asarray(light[..., None] * tint, dtype=np.float32)


def _soft_box(distance: Array) -> Array:
    return np.asarray(1.0 / (1.0 + np.exp(10.0 * (np.abs(distance) - 1.0))))


def _noise(rng: np.random.Generator, along_mm: float, across_mm: float) -> Image:
    """Gaussian noise (PIXELS, PIXELS) of unit deviation, with these lengths of correlation, periodic."""
    fy, fx = np.fft.fftfreq(PIXELS)[:, None], np.fft.rfftfreq(PIXELS)[None, :]
    pixel_mm = TEXTURE_MM / PIXELS
    decay = 2 * np.pi**2 / pixel_mm**2
    keep = np.exp(-decay * (fy * across_mm) ** 2) * np.exp(-decay * (fx * along_mm) ** 2)
    white = rng.standard_normal((PIXELS, PIXELS), dtype=np.float32)
    noise = np.fft.irfft2(np.fft.rfft2(white) * keep.astype(np.float32), s=(PIXELS, PIXELS))
    return np.asarray((noise - noise.mean()) / noise.std(), dtype=np.float32)


def _milled(rng: np.random.Generator) -> tuple[Image, Image]:
    """A face mill's passes side by side, each leaving a row of arcs."""
    axis = np.linspace(0.0, TEXTURE_MM, PIXELS, endpoint=False, dtype=np.float32)
    x, y = axis[None, :], axis[:, None]
    passes = int(rng.integers(4, 7))
    width = TEXTURE_MM / passes
    feed_mm = TEXTURE_MM / int(rng.integers(52, 74))
    tool_mm = width * rng.uniform(0.56, 0.7)
    across = y % width - width / 2
    arc = np.sqrt(np.maximum(tool_mm**2 - across**2, 0.0))
    start = rng.uniform(0.0, TEXTURE_MM, passes).astype(np.float32)[(y // width).astype(int)]
    phase = 2 * np.pi * (x + arc + start) / feed_mm + 0.5 * _noise(rng, 5.0, 5.0)
    depth = 1.0 + 0.35 * _noise(rng, 8.0, 3.0)
    height = 0.0075 * depth * np.sin(phase) + 0.0012 * _noise(rng, 0.3, 0.3)
    shade = 1.0 + 0.035 * _noise(rng, 12.0, 6.0) + 0.03 * np.sin(phase) + 0.02 * _noise(rng, 0.25, 0.25)
    return height, shade


def _brushed(rng: np.random.Generator) -> tuple[Image, Image]:
    """Fine marks along the tangent, as sawing, grinding and turning leave them."""
    marks = _noise(rng, rng.uniform(9.0, 16.0), 0.22)
    height = 0.010 * marks + 0.010 * _noise(rng, 20.0, 0.7)
    return height, 1.0 + 0.05 * marks + 0.03 * _noise(rng, 9.0, 4.0)


def _cast(rng: np.random.Generator) -> tuple[Image, Image]:
    """The grain of a blasted casting."""
    grain = _noise(rng, 0.35, 0.35)
    height = 0.040 * grain + 0.05 * _noise(rng, 1.4, 1.4)
    return height, 1.0 + 0.06 * grain + 0.05 * _noise(rng, 5.0, 5.0)


def _moulded(rng: np.random.Generator) -> tuple[Image, Image]:
    """A tray of moulded plastic with a leather-like grain and traces of use."""
    grain = _noise(rng, 0.5, 0.5)
    wear = np.maximum(_noise(rng, 6.0, 0.3) - 2.4, 0.0)
    return 0.05 * grain, 1.0 + 0.10 * grain + 0.12 * _noise(rng, 8.0, 8.0) + 0.6 * wear


_FINISHES = {"brushed": _brushed, "cast": _cast, "milled": _milled, "moulded": _moulded}
