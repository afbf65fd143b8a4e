"""Which bundle a box runs, where, and what is told to the line by when."""

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


class DecisionConfig(Document):
    """What the line is told, and until when."""

    deadline_ms: Milliseconds = Field(description="after the trigger")
    on_late: PolicyVerdict = "undecided"
    valid_ms: Milliseconds = Field(
        default=1000, description="a decision is worthless this long after its making"
    )
    compact: bool = Field(
        default=False,
        description="also as one short line on decision/compact, for controllers with short strings; it "
        "has no signature, so not together with mqtt.seal",
    )


class RuntimeConfig(Document):
    """Which graph of the bundle runs where."""

    backend: Literal["openvino", "onnxruntime"]
    precision: Literal["auto", "fp32", "bf16", "int8"] = Field(
        default="auto", description="auto: int8 where the bundle has it, else bf16, else fp32"
    )
    device: DeviceName = "CPU"
    threads: int = Field(default=0, ge=0, le=1024, description="0: one per core")
    streams: int = Field(
        default=1, ge=1, le=64, description="of the device; one part at a time needs no more than 1"
    )
    cache_dir: Path | None = Field(default=None, description="compiled models; a start is faster with it")
    cache_max_mb: float = Field(
        default=2048, gt=0, description="of the cache_dir; the models unused for longest go first"
    )


class TrustConfig(Document):
    """Which bundles this box runs. Hashes and expiry are always checked, the rest where it is given."""

    keys: tuple[Path, ...] | None = Field(
        default=None, min_length=1, description="public keys; a bundle must be signed by one of them"
    )
    product: str | None = Field(
        default=None,
        min_length=1,
        description="name of the bundles that this box runs; default: that of the first one that ran here",
    )
    max_version: Annotated[int, Field(ge=0, le=2**53)] = Field(
        default=10**14,
        description="higher ones are refused as mistaken, and do not count where one ran nevertheless",
    )
    device_class: DeviceClass | None = Field(default=None, description="refuse bundles for another class")
    installed: Path | None = Field(
        default=None, description="record of the versions that ran; default installed.json beside the outbox"
    )
    allow_older: bool = Field(default=False, description="go back to an older version on purpose")
