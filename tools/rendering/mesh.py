"""Shaded triangle meshes and the few ways in which the housing's surfaces are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkPoints
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
from vtkmodules.vtkFiltersGeneral import vtkContourTriangulator

__all__ = ["TEXTURE_MM", "Array", "Mesh", "band", "circle", "disc", "face", "merge", "moved", "ring"]

Array = NDArray[np.float64]

TEXTURE_MM = 96.0
"""Side of the square of surface that one texture image covers, in mm; textures repeat beyond it."""


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """Triangles with all that shading needs: points, normals and tangents (n, 3) in mm, uv (n, 2)."""

    points: Array
    normals: Array
    tangents: Array
    uv: Array
    triangles: NDArray[np.int64]  # (m, 3), anticlockwise seen from outside


def merge(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh out of several."""
    starts = np.cumsum([0, *(len(mesh.points) for mesh in meshes[:-1])])
    return Mesh(
        points=np.concatenate([mesh.points for mesh in meshes]),
        normals=np.concatenate([mesh.normals for mesh in meshes]),
        tangents=np.concatenate([mesh.tangents for mesh in meshes]),
        uv=np.concatenate([mesh.uv for mesh in meshes]),
        triangles=np.concatenate(
            [mesh.triangles + start for mesh, start in zip(meshes, starts, strict=True)]
        ),
    )


def moved(mesh: Mesh, rotation: Array, translation_mm: Array) -> Mesh:
    """The mesh turned by a (3, 3) rotation about the origin, then shifted."""
    return Mesh(
        points=mesh.points @ rotation.T + translation_mm,
        normals=mesh.normals @ rotation.T,
        tangents=mesh.tangents @ rotation.T,
        uv=mesh.uv,
        triangles=mesh.triangles,
    )


def circle(radius_mm: float, *, centre: tuple[float, float] = (0.0, 0.0), count: int = 32) -> Array:
    """Anticlockwise points (count, 2) on a circle."""
    angle = np.linspace(0.0, 2 * np.pi, count, endpoint=False)
    return np.asarray(np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius_mm + np.asarray(centre))


def ring(outline: Array, height_mm: float | Array) -> Array:
    """A closed 2-D outline (n, 2) as a closed row of 3-D points (n + 1, 3), the first one repeated."""
    points = np.column_stack([outline, np.broadcast_to(height_mm, len(outline))])
    return np.vstack([points, points[:1]])


def band(rows: Sequence[Array] | Array) -> Mesh:
    """A smooth surface through rows of points, each (c, 3), closed where a row ends where it began.

    Seen from outside, columns run to the right when rows run upwards: outer walls take anticlockwise rings
    from bottom to top, inner walls anticlockwise rings from top to bottom.
    """
    grid = np.asarray(rows, dtype=np.float64)
    closed = bool(np.allclose(grid[:, 0], grid[:, -1]))
    along = np.gradient(grid, axis=1)
    if closed:
        along[:, 0] = along[:, -1] = (grid[:, 1] - grid[:, -2]) / 2
    across = np.gradient(grid, axis=0)
    count_rows, count_columns = grid.shape[:2]
    index = np.arange(count_rows * count_columns).reshape(count_rows, count_columns)
    a, b, c, d = (part.ravel() for part in (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]))
    u = np.broadcast_to(_length(grid[-1]), (count_rows, count_columns))
    v = np.broadcast_to(_length(grid[:, 0])[:, None], (count_rows, count_columns))
    return Mesh(
        points=grid.reshape(-1, 3),
        normals=_unit(np.cross(along, across)).reshape(-1, 3),
        tangents=_unit(along).reshape(-1, 3),
        uv=np.stack([u, v], axis=2).reshape(-1, 2) / TEXTURE_MM,
        triangles=np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)]),
    )


def face(outline: Array, holes: Sequence[Array], origin: Array, x_axis: Array, y_axis: Array) -> Mesh:
    """A flat face: outline and holes are (n, 2) in the face's own axes; it looks along x_axis × y_axis."""
    flat, triangles = _triangulated([outline, *holes])
    points = origin + flat[:, :1] * x_axis + flat[:, 1:] * y_axis
    count = len(points)
    return Mesh(
        points=points,
        normals=np.broadcast_to(np.cross(x_axis, y_axis), (count, 3)).copy(),
        tangents=np.broadcast_to(x_axis, (count, 3)).copy(),
        uv=flat / TEXTURE_MM,
        triangles=triangles,
    )


def disc(
    radius_mm: float, height_mm: Array, origin: Array, x_axis: Array, y_axis: Array, *, centre: Array
) -> Mesh:
    """A round patch of a flat face; its height over it comes on a polar grid, rows from rim to centre."""
    count_rows, count_columns = height_mm.shape
    radii = np.linspace(radius_mm, radius_mm * 1e-3, count_rows)
    unit = ring(circle(1.0, count=count_columns - 1), 0.0)[:, :2]
    flat = centre + radii[:, None, None] * unit
    normal = np.cross(x_axis, y_axis)
    mesh = band(origin + flat[..., :1] * x_axis + flat[..., 1:] * y_axis + height_mm[..., None] * normal)
    return Mesh(
        points=mesh.points,
        normals=mesh.normals,
        tangents=_unit(x_axis - mesh.normals * (mesh.normals @ x_axis)[:, None]),
        uv=flat.reshape(-1, 2) / TEXTURE_MM,
        triangles=mesh.triangles,
    )


def _length(points: Array) -> Array:
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])


def _unit(vectors: Array) -> Array:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-12))


def _triangulated(loops: Sequence[Array]) -> tuple[Array, NDArray[np.int64]]:
    """Fills the area between closed loops; returns points (n, 2) and anticlockwise triangles (m, 3)."""
    flat = np.concatenate(loops)
    points, lines = vtkPoints(), vtkCellArray()
    points.SetDataTypeToDouble()
    for x, y in flat.tolist():
        points.InsertNextPoint(x, y, 0.0)
    start = 0
    for loop in loops:
        lines.InsertNextCell(len(loop) + 1)
        for index in (*range(start, start + len(loop)), start):
            lines.InsertCellPoint(index)
        start += len(loop)
    contours, fill = vtkPolyData(), vtkContourTriangulator()
    contours.SetPoints(points)
    contours.SetLines(lines)
    fill.SetInputData(contours)
    fill.Update()
    filled = fill.GetOutput()
    triangles = vtk_to_numpy(filled.GetPolys().GetConnectivityArray()).reshape(-1, 3).astype(np.int64)
    flat = vtk_to_numpy(filled.GetPoints().GetData())[:, :2].astype(np.float64)
    a, b, c = (flat[triangles[:, k]] for k in range(3))
    turn = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    triangles[turn < 0] = triangles[turn < 0][:, ::-1]
    return flat, triangles
