"""A whole bundle in a moment: two views, a graph that averages colours, golden parts computed by NumPy."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from onnx import TensorProto, helper
from PIL import Image

from edgeflow.bundles.writer import file_records, write_bundle
from edgeflow.contracts.manifest import RECORDED, SCHEMA_VERSION, Manifest

VIEWS = ("top", "left")
SIDE = 8


def colour_mean(*extra: onnx.NodeProto, offset: float = 0.0) -> onnx.ModelProto:
    """uint8 (V, 8, 8, 3) to the mean of its colours, float32 (V, 8, 8), and ``offset`` added to it."""
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "axes"], ["means" if offset else "maps"], keepdims=0),
        *([helper.make_node("Add", ["means", "offset"], ["maps"])] if offset else []),
        *extra,
    ]
    constants = [helper.make_tensor("axes", TensorProto.INT64, [1], [3])]
    if offset:
        constants.append(helper.make_tensor("offset", TensorProto.FLOAT, [1], [offset]))
    graph = helper.make_graph(
        nodes,
        "mean",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, [len(VIEWS), SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("maps", TensorProto.FLOAT, [len(VIEWS), SIDE, SIDE])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def graph_entry(precision: str, backend: str = "onnxruntime") -> dict[str, Any]:
    """The graph's entry in the manifest, called by any precision."""
    shape = [len(VIEWS), SIDE, SIDE]
    return {
        "backend": backend,
        "precision": precision,
        "model": "mean.onnx",
        "input": {"name": "images", "dtype": "uint8", "shape": [*shape, 3]},
        "output": {"name": "maps", "dtype": "float32", "shape": shape},
        "measured_error": 0.0,
        "tolerance": 1e-4,
    }


def two_graphs() -> dict[str, Any]:
    """Fields of a bundle with the graph twice, as fp32 and as INT8."""
    return {"graphs": [graph_entry("fp32"), graph_entry("int8")]}


def small_bundle(
    path: Path,
    *,
    model: bytes | None = None,
    signer: Ed25519PrivateKey | None = None,
    part: float | None = None,
    golden: bytes | None = None,
    recorded_factor: float = 1.0,
    offset: float = 0.0,
    extra: Mapping[str, bytes] | None = None,
    **fields: Any,
) -> Path:
    """Write the bundle; ``fields`` replace those of the manifest.

    Args:
        part: the golden part's score, instead of the true one.
        golden: the file of every golden image.
        extra: more files, which ``fields`` name.
        offset: added to every score, so that scores tell which bundle they are of.
        recorded_factor: times the maps that reduced graphs gave at export; beside 1, none reproduces them.
    """
    rng = np.random.default_rng(1)
    images = {view: rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8) for view in VIEWS}
    maps = np.stack([image.astype(np.float32).mean(axis=-1) for image in images.values()])
    maps = maps + np.float32(offset)
    recorded = [f"{graph['backend']}-{graph['precision']}" for graph in fields.get("graphs", ())]
    files = {
        "mean.onnx": model or colour_mean(offset=offset).SerializeToString(),
        "golden/maps.npz": _npz(maps, part, {name: maps * np.float32(recorded_factor) for name in recorded}),
    }
    files |= {f"golden/{view}.png": golden or _png(image) for view, image in images.items()}
    files |= extra or {}
    scale = {"centre": 0.0, "threshold": 1000.0}
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "name": "bracket",
        "created_by": "a test",
        "views": [{"id": view} for view in VIEWS],
        "preprocessing": {"height": SIDE, "width": SIDE},
        "graphs": [graph_entry("fp32")],
        "scoring": {},
        "thresholds": {
            "part": scale,
            "views": dict.fromkeys(VIEWS, scale),
            "false_reject_rate": 0.01,
            "normal_parts": 99,
        },
        "golden": [
            {
                "part_id": "p1",
                "images": {v: f"golden/{v}.png" for v in VIEWS},
                "expected": "golden/maps.npz",
            }
        ],
        "recipe": {},
        "provenance": {},
        "files": {name: record.model_dump() for name, record in file_records(files).items()},
    }
    manifest = Manifest.model_validate_json(json.dumps(document | fields))
    write_bundle(path, manifest, files, signer=signer)
    return path


def _png(image: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def _npz(maps: np.ndarray[Any, Any], part: float | None, recorded: dict[str, np.ndarray[Any, Any]]) -> bytes:
    buffer = io.BytesIO()
    score = np.float32(maps.max(axis=(1, 2)).mean() if part is None else part)
    own: dict[str, Any] = {
        f"{RECORDED}{graph}": given for graph, given in recorded.items() if not graph.endswith("fp32")
    }
    np.savez(buffer, maps=maps, part=score, **own)
    return buffer.getvalue()
