"""The bundle's manifest: tensors, view order, preprocessing, scoring, thresholds, parity, hashes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AwareDatetime, ConfigDict, Field, model_validator

from edgeflow.contracts.documents.document import Document, Text, parse_document
from edgeflow.contracts.documents.entry_name import EntryName
from edgeflow.contracts.geometry.view_spec import VIEW_NAME, Preprocessing, ViewId, ViewSpec
from edgeflow.contracts.parity import AccuracyReport, StageParity
from edgeflow.contracts.scoring import Scoring
from edgeflow.contracts.thresholds import (
    Count,
    Interval,
    LabelledScores,
    OperatingPoint,
    Positive,
    Scale,
    Thresholds,
    subset_key,
)
from edgeflow.errors import ConfigError, IntegrityError

__all__ = [
    "MANIFEST_NAME",
    "RECORDED",
    "REPORT_NAME",
    "SCHEMA_VERSION",
    "VIEW_NAME",
    "AccuracyReport",
    "DeviceClass",
    "FileRecord",
    "Foreground",
    "GoldenPart",
    "Graph",
    "Interval",
    "LabelledScores",
    "Manifest",
    "OperatingPoint",
    "Preprocessing",
    "Scale",
    "Scoring",
    "StageParity",
    "Tensor",
    "Thresholds",
    "ViewId",
    "ViewSpec",
    "parse_manifest",
    "subset_key",
]

MANIFEST_NAME = "manifest.json"
RECORDED = "recorded/"
"""Prefix of a golden file's arrays that hold a quantized graph's own maps."""
REPORT_NAME = "report.html"
"""The export's report for people, where a bundle has one: a file like any other, listed with its hash."""
SCHEMA_VERSION = "1.6"
"""The second number rises with every field that is added: tests/golden/manifest_fields has those of each."""

Sha256 = Annotated[str, Text(pattern=r"^[0-9a-f]{64}$", words="a SHA-256 of 64 hexadecimal digits")]
Version = Annotated[str, Text(pattern=r"^[0-9]+\.[0-9]+$", words="a version such as 1.3")]
DeviceClass = Annotated[
    str,
    Text(
        pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$",
        words="a name of up to 64 lower-case letters, digits, . _ or -, such as n100",
    ),
]


class Tensor(Document):
    """One tensor of a graph; V views of one part are one call."""

    name: str
    dtype: Literal["uint8", "float32"]
    shape: tuple[Positive, ...]


class Graph(Document):
    """One executable form of the model: uint8 images (V, H, W, 3) to anomaly maps (V, h, w)."""

    backend: Literal["openvino", "onnxruntime"]
    precision: Literal["fp32", "bf16", "int8"]
    model: EntryName
    weights: EntryName | None = None
    input: Tensor
    output: Tensor
    mask_output: Tensor | None = Field(
        default=None, description="foreground logits (V, h, w) of a distilled head; foreground where positive"
    )
    measured_error: float = Field(
        ge=0,
        description="relative map error at export: in fp32 the largest against torch; of a reduced graph the "
        "median of the held-out parts, on the foreground, against fp32",
    )
    tolerance: float = Field(gt=0, description="verify refuses a larger relative error of golden maps")

    @property
    def id(self) -> str:
        """Name of the graph in commands, such as ``openvino-int8``."""
        return f"{self.backend}-{self.precision}"

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """Outputs of one run, in this order."""
        return (self.output,) if self.mask_output is None else (self.output, self.mask_output)


class Foreground(Document):
    """The pixels of an anomaly map that belong to the part; all others count as 0 (Multi-Flow, section 3).

    ``fixed``: one mask per view. ``distilled``: the anomaly graphs themselves give logits. ``mvanet``: a
    graph of its own, uint8 image (1, size, size, 3) to logits (1, size, size), then the mask steps of
    ``contracts.foreground``.
    """

    kind: Literal["fixed", "distilled", "mvanet"]
    masks: EntryName | None = Field(default=None, description="fixed: npz with masks uint8 (V, h, w)")
    size: Positive | None = Field(default=None, description="mvanet: side of its image in pixels")
    graphs: tuple[Graph, ...] = Field(default=(), description="mvanet: one per back end")
    note: str = Field(default="", description="what was measured, and why this kind was chosen")

    @model_validator(mode="after")
    def _is_complete(self) -> Foreground:
        if (self.kind == "fixed") != (self.masks is not None):
            raise ValueError("masks go with kind: fixed, and only with it")
        if (self.kind == "mvanet") != bool(self.size and self.graphs):
            raise ValueError("size and graphs go with kind: mvanet, and only with it")
        return self


class GoldenPart(Document):
    """A part with its expected anomaly maps: the trained model's, and each quantized graph's own."""

    part_id: str
    images: dict[ViewId, EntryName]
    expected: EntryName = Field(
        description="npz: maps (V, h, w), part (), recorded/<graph id> (V, h, w), masks (V, h, w) where "
        "there is a foreground; float32"
    )


class FileRecord(Document):
    """Hash and size of one file of the bundle."""

    sha256: Sha256
    size: Count


class Manifest(Document):
    """Everything a box must know of a bundle.

    A verdict needs the thresholds of the graph that gave the score: :meth:`thresholds_of`.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    schema_version: Version
    name: str
    created_by: str = Field(description="program and version")
    version: Count = Field(default=0, description="a box goes forward only, among bundles of one name")
    device_class: DeviceClass | None = Field(default=None, description="the boxes it is made for; None: any")
    expires: AwareDatetime | None = Field(default=None, description="RFC 3339; refused from then on")
    views: tuple[ViewSpec, ...] = Field(min_length=1)
    preprocessing: Preprocessing
    graphs: tuple[Graph, ...] = Field(min_length=1)
    foreground: Foreground | None = Field(default=None, description="absent: every pixel counts")
    scoring: Scoring
    reference_thresholds: Thresholds = Field(
        alias="thresholds",
        description="of the graph that describes the bundle: its first, or the one that it was calibrated by",
    )
    graph_thresholds: dict[str, Thresholds] = Field(
        default={},
        description="graph → thresholds from its own scores; a graph that is not named cannot be run. Empty, "
        "in bundles made before 1.5: every graph is judged by thresholds",
    )
    golden: tuple[GoldenPart, ...] = Field(min_length=1)
    parity: tuple[StageParity, ...] = Field(default=(), description="stages before the graphs; see graphs")
    accuracy: tuple[AccuracyReport, ...] = ()
    notes: tuple[str, ...] = Field(default=(), description="what was asked for and is not in the bundle")
    recipe: dict[str, object]
    provenance: dict[str, str]
    files: dict[EntryName, FileRecord]

    @property
    def view_ids(self) -> tuple[str, ...]:
        """Names of the views, in the order of the graph's first axis."""
        return tuple(view.id for view in self.views)

    def graph_bytes(self, graph: Graph) -> int:
        """Return the size of a graph's files."""
        return sum(self.files[name].size for name in (graph.model, graph.weights) if name in self.files)

    def thresholds_of(self, graph: Graph) -> Thresholds:
        """The thresholds that one graph's scores are judged by.

        Raises:
            ConfigError: the graph has none of its own, though others have.
        """
        if not self.graph_thresholds:
            return self.reference_thresholds
        own = self.graph_thresholds.get(graph.id)
        if own is not None:
            return own
        raise ConfigError(
            f"{self.name}: {graph.id} has no thresholds, because it could not run where the bundle was "
            f"calibrated; use {' or '.join(self.graph_thresholds)}, or calibrate where all graphs run"
        )

    def is_calibrated(self, graph: Graph) -> bool:
        """True if the graph has thresholds to be judged by."""
        return not self.graph_thresholds or graph.id in self.graph_thresholds

    def allowed_error(self, graph: Graph) -> float:
        """The relative map error that export allowed; a reduced graph's own tolerance is for replaying."""
        export = self.recipe.get("export")
        allowed = export.get("tolerance_int8") if isinstance(export, dict) else None
        return graph.tolerance if graph.precision == "fp32" or allowed is None else float(allowed)

    @property
    def min_recall(self) -> float | None:
        """The recall that the recipe asks for; None where it says nothing of it."""
        export = self.recipe.get("export")
        wanted = export.get("min_recall") if isinstance(export, dict) else None
        return None if wanted is None else float(wanted)

    @model_validator(mode="after")
    def _is_consistent(self) -> Manifest:
        ids = self.view_ids
        if len(set(ids)) != len(ids):
            raise ValueError("views: an id is used twice")
        self._require_thresholds()
        for part in self.golden:
            if set(part.images) != set(ids):
                raise ValueError(f"golden part {part.part_id}: images are not one per view")
        graph_ids = [graph.id for graph in self.graphs]
        if len(set(graph_ids)) != len(graph_ids):
            raise ValueError("graphs: backend and precision used twice")
        expected = (len(ids), self.preprocessing.height, self.preprocessing.width, 3)
        for graph in self.graphs:
            if (
                graph.input.shape != expected
                or len(graph.output.shape) != 3
                or graph.output.shape[0] != len(ids)
            ):
                raise ValueError(f"graph {graph.id}: tensor shapes do not fit views and preprocessing")
        distilled = self.foreground is not None and self.foreground.kind == "distilled"
        if any((graph.mask_output is not None) != distilled for graph in self.graphs):
            raise ValueError("graphs: mask_output goes with foreground kind: distilled, and only with it")
        missing = sorted(self._named_files() - set(self.files))
        if missing:
            raise ValueError(f"files: no hash for {', '.join(missing)}")
        return self

    def _require_thresholds(self) -> None:
        """Refuse thresholds of other views or graphs, and a bundle that is described by none of its own."""
        own = self.graph_thresholds
        if any(set(t.views) != set(self.view_ids) for t in (self.reference_thresholds, *own.values())):
            raise ValueError("thresholds.views: not the same ids as views")
        unknown = sorted(set(own) - {graph.id for graph in self.graphs})
        if unknown:
            raise ValueError(f"graph_thresholds: no graph {', '.join(unknown)}")
        if own and self.reference_thresholds not in own.values():
            raise ValueError("thresholds: not those of one of the graphs in graph_thresholds")

    @model_validator(mode="after")
    def _every_view_has_a_scale(self) -> Manifest:
        scales = self.scoring.view_scales
        if scales is not None and len(scales) != len(self.views):
            raise ValueError("scoring.view_scales: not one per view")
        return self

    def _named_files(self) -> set[str]:
        foreground = self.foreground
        graphs = (*self.graphs, *(foreground.graphs if foreground else ()))
        names = {graph.model for graph in graphs}
        names |= {graph.weights for graph in graphs if graph.weights}
        names |= {foreground.masks} if foreground and foreground.masks else set()
        names |= {part.expected for part in self.golden}
        names |= {name for part in self.golden for name in part.images.values()}
        return names | ({self.scoring.pixel_statistics} if self.scoring.pixel_statistics else set())


def parse_manifest(text: bytes, *, what: str) -> Manifest:
    """Read a manifest; a version that cannot be read is refused before any other field is looked at.

    Raises:
        IntegrityError: not JSON, another major version, a newer minor one, or any field wrong.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as cause:
        raise IntegrityError(f"{what}: {MANIFEST_NAME} is not JSON: {cause}") from cause
    _require_version(data if isinstance(data, dict) else {}, what)
    return parse_document(Manifest, data, what=f"{what}: {MANIFEST_NAME}", error=IntegrityError)


def _require_version(data: Mapping[str, object], what: str) -> None:
    """Refuse another major version, and a newer minor one: it may have a field that changes verdicts."""
    text = str(data.get("schema_version"))
    match = re.match(r"0*([0-9]+)(?:\.0*([0-9]+))?(\.|$)", text)
    if match is None:
        return
    given, known = (match[1], match[2] or "0"), SCHEMA_VERSION.split(".")
    major, minor = (_compared(a, b) for a, b in zip(given, known, strict=True))
    if major < 0:
        raise IntegrityError(
            f"{what}: manifest version {text[:20]} is older than this edgeflow reads ({SCHEMA_VERSION}); "
            "export the bundle with the box's version"
        )
    if major > 0 or minor > 0:
        maker = data.get("created_by")
        maker = maker[:40] if isinstance(maker, str) and maker.isprintable() else "the maker's version"
        raise IntegrityError(
            f"{what}: manifest version {text[:20]} is newer than this edgeflow reads ({SCHEMA_VERSION}): "
            f"newer bundle: update the box to {maker} or later, or export the bundle with the box's version"
        )


def _compared(one: str, other: str) -> int:
    """Order of two numbers without leading zeros; not as int: Python limits the digits."""
    left, right = (len(one), one), (len(other), other)
    return (left > right) - (left < right)
