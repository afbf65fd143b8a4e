"""``edgeflow calibrate`` from labelled evidence: what would change, then the bundle's next version."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from edgeflow.bundles.bundle import Bundle
from edgeflow.calibration.labelled.evidence import LabelledEvidence, exported_evidence
from edgeflow.calibration.labelled.preview import EvidencePreview
from edgeflow.calibration.labelled.preview_page import preview_page
from edgeflow.calibration.labelled.turned_verdicts import TurnedPart
from edgeflow.cli.terminal.tables import make_table, print_table
from edgeflow.config.box import load_config
from edgeflow.contracts.datasets.population import POPULATION_FILE
from edgeflow.decision.recorded_parts import find_bundle_parts
from edgeflow.errors import ConfigError, StorageError
from edgeflow.files import replace_atomically
from edgeflow.recalibration.box_evidence import read_box_evidence

__all__ = ["is_box_or_export", "print_preview", "read_evidence", "write_page"]

_MOST_NAMED = 12


def is_box_or_export(source: Path) -> bool:
    """Return True for a box file or an export of labelled evidence; other folders hold plain parts."""
    return source.is_file() or (source / POPULATION_FILE).is_file()


def read_evidence(bundle: Bundle, source: Path, overrides: tuple[str, ...]) -> LabelledEvidence:
    """Read what a box has inspected with a bundle: its history and evidence, or an export of both.

    Args:
        source: box file or folder.

    Raises:
        ConfigError, DataError, StorageError: it cannot be read, or is of another bundle.
    """
    if source.is_file():
        config = load_config(source, overrides)
        directory = None if config.evidence is None else config.evidence.dir
        return read_box_evidence(config.history_path, directory, bundle)
    evidence = exported_evidence(source, find_bundle_parts(bundle, source, incomplete=True))
    if evidence is None:
        raise ConfigError(f"{source}: has no {POPULATION_FILE}; 'edgeflow evidence export' writes it")
    return evidence


def print_preview(console: Console, preview: EvidencePreview) -> None:
    """Print what would change: the sentences, and the verdicts that would turn, named."""
    for sentence in preview.sentences:
        console.print(sentence, markup=False, soft_wrap=True)
    if preview.turned.turned:
        table = make_table("part", "verdict", "would be", "score", "new", "label", right=("score", "new"))
        for found in preview.turned.turned[:_MOST_NAMED]:
            table.add_row(*_row(found))
        print_table(console, table)
    more = len(preview.turned.turned) - _MOST_NAMED
    if more > 0:
        console.print(f"and {more} more; --json names all", markup=False)


def write_page(preview: EvidencePreview, evidence: LabelledEvidence, output: Path, title: str) -> None:
    """Write the preview as an HTML page with the pictures of the parts whose verdict would turn.

    Raises:
        StorageError: the file cannot be written.
    """
    try:
        with replace_atomically(output) as file:
            file.write(preview_page(preview, evidence.images, title).encode())
    except OSError as cause:
        raise StorageError(
            f"{output}: cannot be written: {cause.strerror}; make room, or give another place"
        ) from cause


def _row(found: TurnedPart) -> tuple[str, ...]:
    part = found.part
    name = part.part_id if len(part.part_id) <= 40 else f"{part.part_id[:39]}…"
    return (
        name,
        part.verdict,
        found.verdict,
        f"{found.before:.2f}",
        f"{found.after:.2f}",
        part.label or "",
    )
