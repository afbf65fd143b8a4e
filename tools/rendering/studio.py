"""The photo studio: draws surfaces under lights, physically based and offscreen, as seen by each camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyvista as pv
from numpy.typing import NDArray
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkFloatArray, vtkUnsignedCharArray
from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper

from rendering.camera import VIEWPOINTS, Viewpoint
from rendering.drawing import Solid
from rendering.graphics import ready_offscreen
from rendering.mesh import Array, Mesh, moved
from rendering.textures import MATERIALS, VARIANTS, dome, make_texture

__all__ = ["SUPERSAMPLING", "Lighting", "Shot", "Studio", "Surface"]

SUPERSAMPLING = 2
TRAY_HALF_MM = 160.0


@dataclass(frozen=True, kw_only=True)
class Surface:
    """Deviation of one part's textures and gloss, by material: version, shift (2,) and roughness."""

    variant: dict[str, int] = field(default_factory=dict)
    shift: dict[str, tuple[float, float]] = field(default_factory=dict)
    roughness: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Lighting:
    """Lamps: directions (n, 3) of any length, brightness, and rotation of the dome."""

    directions: Array
    intensities: tuple[float, ...]
    dome_turn_rad: float


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One camera's picture: gamma-coded colour (h, w, 3) uint8, and depth (h, w) along its axis in mm."""

    colour: NDArray[np.uint8]
    depth_mm: NDArray[np.float32]


class Studio:
    """An offscreen window that is opened once and takes pictures of any number of parts."""

    def __init__(self, size: int) -> None:
        ready_offscreen()
        side = size * SUPERSAMPLING
        self._plotter = pv.Plotter(off_screen=True, window_size=(side, side), lighting=None)
        self._window = self._plotter.render_window
        self._window.SetMultiSamples(0)
        self._renderer = self._plotter.renderer
        self._renderer.SetBackground(0.0, 0.0, 0.0)
        self._side = side
        self._textures: dict[tuple[str, int], tuple[pv.Texture, pv.Texture]] = {}
        self._add_dome()

    def close(self) -> None:
        """Give the window back."""
        self._plotter.close()

    def shoot(
        self,
        solids: Sequence[Solid],
        *,
        rotation: Array,
        translation_mm: Array,
        surface: Surface,
        lighting: Lighting,
        viewpoints: Sequence[Viewpoint] = VIEWPOINTS,
    ) -> list[Shot]:
        """Pictures of the part, turned and shifted on its tray, by every camera."""
        posed = [(name, moved(mesh, rotation, translation_mm)) for name, mesh in solids]
        actors = [self._actor(name, mesh, surface) for name, mesh in [*posed, ("tray", _tray())]]
        for actor in actors:
            self._renderer.AddActor(actor)
        self._light(lighting)
        try:
            return [self._picture(view) for view in viewpoints]
        finally:
            for actor in actors:
                self._renderer.RemoveActor(actor)
                actor.ReleaseGraphicsResources(self._window)

    def _add_dome(self) -> None:
        panorama = dome()
        image = pv.ImageData(dimensions=(panorama.shape[1], panorama.shape[0], 1))
        image.point_data["light"] = panorama.reshape(-1, 3)
        texture = pv.Texture(image)
        texture.SetColorModeToDirectScalars()
        texture.MipmapOn()
        texture.InterpolateOn()
        self._renderer.SetUseImageBasedLighting(True)
        self._renderer.SetEnvironmentTexture(texture, False)
        self._renderer.SetEnvironmentUp(0.0, 0.0, 1.0)
        # Software rendering would spend seconds on the defaults, for a difference of less than a grey level.
        self._renderer.GetEnvMapPrefiltered().SetPrefilterMaxSamples(128)
        reflectance = self._renderer.GetEnvMapLookupTable()
        reflectance.SetLUTSize(128)
        reflectance.SetLUTSamples(128)

    def _light(self, lighting: Lighting) -> None:
        self._renderer.RemoveAllLights()
        for direction, intensity in zip(lighting.directions, lighting.intensities, strict=True):
            lamp = pv.Light(position=tuple(direction), light_type="scene light", intensity=intensity)
            self._renderer.AddLight(lamp)
        turn = lighting.dome_turn_rad
        self._renderer.SetEnvironmentRight(float(np.cos(turn)), float(np.sin(turn)), 0.0)

    def _actor(self, name: str, mesh: Mesh, surface: Surface) -> vtkActor:
        material, variant = MATERIALS[name], surface.variant.get(name, 0)
        mapper, actor = vtkPolyDataMapper(), vtkActor()
        mapper.SetInputData(_poly_data(mesh, np.asarray(surface.shift.get(name, (0.0, 0.0)))))
        mapper.ScalarVisibilityOff()
        actor.SetMapper(mapper)
        look = actor.GetProperty()
        if name == "tray":  # matt, dark and far behind: it takes the lamps' light, but mirrors no dome
            look.SetInterpolationToGouraud()
            look.SetAmbient(0.55)
            look.SetDiffuse(0.45)
            actor.SetTexture(self._texture(name, variant % VARIANTS)[0])
            return actor
        look.SetInterpolationToPBR()
        look.SetColor(*material.colour)  # linear, as the shader takes it
        look.SetMetallic(material.metallic)
        look.SetRoughness(surface.roughness.get(name, material.roughness))
        look.SetOpacity(material.opacity)
        if material.finish is not None:
            colour, slope = self._texture(name, variant % VARIANTS)
            look.SetColor(1.0, 1.0, 1.0)
            look.SetBaseColorTexture(colour)
            look.SetNormalTexture(slope)
        return actor

    def _texture(self, name: str, variant: int) -> tuple[pv.Texture, pv.Texture]:
        key = (name, variant)
        if key not in self._textures:
            made = make_texture(MATERIALS[name], variant)
            pair = pv.Texture(np.ascontiguousarray(made.colour)), pv.Texture(np.ascontiguousarray(made.slope))
            pair[0].SetUseSRGBColorSpace(name != "tray")
            for texture in pair:
                texture.MipmapOff()  # costly in software; texels are as coarse as supersampled pixels
                texture.InterpolateOn()
                texture.RepeatOn()
            self._textures[key] = pair
        return self._textures[key]

    def _picture(self, view: Viewpoint) -> Shot:
        camera = self._renderer.GetActiveCamera()
        near, far = view.distance_mm - 150.0, view.distance_mm + 250.0
        camera.SetPosition(*view.position)
        camera.SetFocalPoint(*view.target)
        camera.SetViewUp(*view.up)
        camera.SetViewAngle(view.view_angle_deg)
        camera.SetClippingRange(near, far)
        self._window.Render()
        side, colour, depth = self._side, vtkUnsignedCharArray(), vtkFloatArray()
        self._window.GetPixelData(0, 0, side - 1, side - 1, 1, colour, 0)
        self._window.GetZbufferData(0, 0, side - 1, side - 1, depth)
        share = vtk_to_numpy(depth).reshape(side, side)[::-1]
        return Shot(
            colour=vtk_to_numpy(colour).reshape(side, side, 3)[::-1].copy(),
            depth_mm=near * far / (far - share * (far - near)),
        )


def _tray() -> Mesh:
    corner = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]) * TRAY_HALF_MM
    count = len(corner)
    return Mesh(
        points=np.column_stack([corner, np.zeros(count)]),
        normals=np.tile([0.0, 0.0, 1.0], (count, 1)),
        tangents=np.tile([1.0, 0.0, 0.0], (count, 1)),
        uv=corner / 96.0,
        triangles=np.array([[0, 1, 2], [0, 2, 3]]),
    )


def _poly_data(mesh: Mesh, shift: Array) -> pv.PolyData:
    data = pv.PolyData.from_regular_faces(mesh.points.astype(np.float32), mesh.triangles)
    attributes = data.GetPointData()
    for name, values, use in (
        ("normals", mesh.normals, attributes.SetNormals),
        ("tangents", mesh.tangents, attributes.SetTangents),
        ("uv", mesh.uv + shift, attributes.SetTCoords),
    ):
        array = numpy_to_vtk(values.astype(np.float32), deep=True)
        array.SetName(name)
        use(array)
    return data
