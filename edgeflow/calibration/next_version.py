"""A bundle's next version: new thresholds, and everything else as it was."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edgeflow import __version__
from edgeflow.backends.runner import Placement
from edgeflow.bundles.archive import write_archive
from edgeflow.bundles.bundle import Bundle, read_manifest
from edgeflow.bundles.writer import bundle_entries, manifest_bytes
from edgeflow.calibration.detection_rates import shortcomings
from edgeflow.calibration.effect import Effect
from edgeflow.contracts.manifest import SCHEMA_VERSION, Graph, Manifest, Thresholds
from edgeflow.contracts.scoring import scaled
from edgeflow.errors import ConfigError, EdgeflowError
from edgeflow.files import write_then_verify
from edgeflow.scoring.verification import verify_graph

__all__ = [
    "NewThresholds",
    "Recalibrated",
    "next_version_number",
    "reference_graph",
    "thresholds_before",
    "write_next_version",
]


@dataclass(frozen=True, kw_only=True)
class NewThresholds:
    """One graph's thresholds, before and now.

    Attributes:
        before: by which it was judged so far; the bundle's, where it had none of its own.
        effect: what the new thresholds do to the parts on record and to the bundle's own defective ones.
    """

    before: Thresholds
    after: Thresholds
    effect: Effect


@dataclass(frozen=True, kw_only=True)
class Recalibrated:
    """A bundle written with new thresholds.

    Attributes:
        graph: describes the bundle: its thresholds are the bundle's.
        graphs: graph → its thresholds; the one that describes the bundle first.
        changed: golden parts whose verdict is another one now, with both.
        shortcomings: why the new bundle is not to be trusted, such as too few parts.
        uncalibrated: graphs that this machine cannot run: they have no thresholds, and no box can run them.
    """

    path: Path
    sha256: str
    version: int
    graph: str
    graphs: Mapping[str, NewThresholds]
    changed: tuple[str, ...]
    shortcomings: tuple[str, ...]
    uncalibrated: tuple[str, ...]

    @property
    def before(self) -> Thresholds:
        """The old thresholds of the graph that describes the bundle."""
        return self.graphs[self.graph].before

    @property
    def after(self) -> Thresholds:
        """Its new ones."""
        return self.graphs[self.graph].after

    @property
    def effect(self) -> Effect:
        """Their effect."""
        return self.graphs[self.graph].effect


def reference_graph(manifest: Manifest, graph_id: str | None) -> Graph:
    """The graph that describes a bundle: the one named, else the first that has thresholds, fp32 at export.

    Raises:
        ConfigError: the bundle has no such graph.
    """
    for graph in manifest.graphs:
        if graph_id == graph.id or (graph_id is None and manifest.is_calibrated(graph)):
            return graph
    found = ", ".join(graph.id for graph in manifest.graphs)
    raise ConfigError(f"no graph '{graph_id}'; the bundle holds: {found}")


def write_next_version(
    bundle: Bundle,
    found: Mapping[str, NewThresholds],
    reference: Graph,
    output: Path,
    *,
    placement: Placement,
    signer: Ed25519PrivateKey | None,
) -> Recalibrated:
    """Write the bundle with new thresholds; golden parts are replayed from it before it takes its name.

    Args:
        found: graph → its thresholds; other graphs get none.
        reference: describes the bundle.
        signer: signs the new bundle; otherwise it is unsigned.

    Raises:
        ParityError: a graph and the trained model judge a golden part differently under the new thresholds.
        StorageError: the new file cannot be written.
    """
    manifest = bundle.manifest
    version = next_version_number(bundle, output.parent)
    raw = manifest_bytes(_next_version(bundle, found, reference, version))
    entries = bundle_entries(raw, manifest.files, bundle.read, signer)
    with write_then_verify(output) as draft:
        write_archive(draft, entries)
        with Bundle.open(draft) as written:
            for graph in (graph for graph in written.manifest.graphs if graph.id in found):
                verify_graph(written, graph, placement=placement)
            sha256, version = written.sha256, written.manifest.version
    return Recalibrated(
        path=output,
        sha256=sha256,
        version=version,
        graph=reference.id,
        graphs=found,
        changed=_changed_verdicts(bundle, found[reference.id].after),
        shortcomings=shortcomings(found[reference.id].after, manifest.min_recall),
        uncalibrated=tuple(graph.id for graph in manifest.graphs if graph.id not in found),
    )


def thresholds_before(manifest: Manifest, graph: Graph) -> Thresholds:
    """The graph's thresholds so far; the bundle's, where it could not run when the others got theirs."""
    return manifest.thresholds_of(graph) if manifest.is_calibrated(graph) else manifest.reference_thresholds


def next_version_number(bundle: Bundle, *folders: Path) -> int:
    """Return a version higher than that of every bundle of this name beside the bundle and in the folders."""
    beside = {bundle.path.resolve().parent, *folders}
    return max(bundle.manifest.version, _highest_version(bundle.manifest.name, beside)) + 1


def _highest_version(name: str, folders: Iterable[Path]) -> int:
    """Of the bundles of one name that lie in these folders; other files are passed over."""
    highest = 0
    beside = {file for folder in folders if folder.is_dir() for file in folder.iterdir()}
    for path in (file for file in beside if zipfile.is_zipfile(file)):
        try:
            manifest = read_manifest(path)
        except EdgeflowError:
            continue
        if manifest.name == name:
            highest = max(highest, manifest.version)
    return highest


def _next_version(
    bundle: Bundle, found: Mapping[str, NewThresholds], reference: Graph, version: int
) -> Manifest:
    """The manifest with new thresholds, and where they come from.

    Args:
        reference: describes the bundle.
    """
    described = found[reference.id].after
    provenance = {
        "calibrated_from": bundle.sha256,
        "calibrated_by": f"edgeflow {__version__}, {', '.join(found)}, {described.normal_parts} good parts",
    }
    return bundle.manifest.model_copy(
        update={
            "schema_version": SCHEMA_VERSION,
            "version": version,
            "reference_thresholds": described,
            "graph_thresholds": {name: new.after for name, new in found.items()},
            "provenance": {**bundle.manifest.provenance, **provenance},
        }
    )


def _changed_verdicts(bundle: Bundle, thresholds: Thresholds) -> tuple[str, ...]:
    changed = []
    for part in bundle.manifest.golden:
        score = bundle.golden_expectation(part).part
        before, after = (
            "OK" if scaled(score, scale) <= 1.0 else "NG"
            for scale in (bundle.manifest.reference_thresholds.part, thresholds.part)
        )
        if before != after:
            changed.append(f"{part.part_id}: {before} before, {after} now")
    return tuple(changed)
