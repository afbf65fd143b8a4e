"""Sections of a box file: graph and device, decisions, and admitted bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from edgeflow.config.units import Milliseconds, PolicyVerdict
from edgeflow.contracts.documents.document import Document, Text
from edgeflow.contracts.manifest import DeviceClass

__all__ = ["DecisionConfig", "RuntimeConfig", "TrustConfig"]

DeviceName = Annotated[
    str, Text(pattern=r"^[A-Za-z0-9_.:,-]+$", words="a device such as CPU, GPU, NPU or GPU.1")
]


def _is_none(value: object) -> bool:
    return value is None


class DecisionConfig(Document):
    """Decisions for the line, and their deadline."""

    deadline_ms: Milliseconds = Field(
        description="milliseconds after the trigger by which the decision is published"
    )
    on_late: PolicyVerdict = Field(
        default="undecided", description="verdict of a part that was not scored by the deadline"
    )
    valid_ms: Milliseconds = Field(
        default=1000, description="milliseconds after which a decision must not be used any more"
    )
    compact: bool = Field(
        default=False,
        description="also publish decisions as one short line on decision/compact, for controllers with "
        "short strings; it has no signature, so not together with mqtt.seal",
    )


class RuntimeConfig(Document):
    """Graph of the bundle, and the device that runs it."""

    backend: Literal["openvino", "onnxruntime"] = Field(description="library that runs the graph")
    precision: Literal["auto", "fp32", "bf16", "int8"] = Field(
        default="auto",
        description="precision of the graph; auto: the graph chosen with 'edgeflow bench --choose', else "
        "int8 where the bundle has it, else bf16, else fp32; the first that verifies on this device",
    )
    device: DeviceName = Field(
        default="CPU",
        description="device of the back end: CPU, GPU, NPU (OpenVINO); CPU, CUDA (ONNX Runtime)",
    )
    threads: int = Field(default=0, ge=0, le=1024, description="number of threads; 0: one per core")
    streams: int = Field(
        default=1,
        ge=1,
        le=64,
        description="parallel streams of the device; one part at a time needs no more than 1",
    )
    cache_dir: Path | None = Field(
        default=None, description="folder for compiled graphs, which makes later starts faster; default: none"
    )
    cache_max_mb: float = Field(
        default=2048,
        gt=0,
        description="megabytes of the cache_dir; graphs that were unused for longest are removed first",
    )
    memory_mb: float | None = Field(
        default=None,
        gt=0,
        exclude_if=_is_none,
        description="with products: megabytes that their loaded bundles may take; the one that was unused "
        "for longest gives way, and takes seconds to come back; default: all stay loaded",
    )


class TrustConfig(Document):
    """Bundles that this box admits. Hashes and expiry are always checked, the rest where it is given."""

    keys: tuple[Path, ...] | None = Field(
        default=None,
        min_length=1,
        description="public keys, one of which must have signed a bundle; default: unsigned bundles run too",
    )
    product: str | None = Field(
        default=None,
        min_length=1,
        description="name of the bundles that this box runs; default: the name of the first one that ran "
        "here",
    )
    max_version: Annotated[int, Field(ge=0, le=2**53)] = Field(
        default=10**14,
        description="bundles with a higher version are refused as mistaken; one that ran nevertheless does "
        "not count",
    )
    device_class: DeviceClass | None = Field(
        default=None, description="device class of this box; bundles for another one are refused"
    )
    installed: Path | None = Field(
        default=None, description="record of the versions that ran; default: installed.json beside the outbox"
    )
    allow_older: bool = Field(default=False, description="run an older version than the newest that ran here")
