"""Parts that are there twice, by their images' content or by names that some file systems take for one."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from edgeflow.contracts.datasets.recorded_part import RecordedPart
from edgeflow.diagnostics.data_set.progress import Progress
from edgeflow.diagnostics.findings import Finding, listed, warning

__all__ = ["duplicate_findings", "name_findings"]

_BLOCK = 1 << 20
_LEARNED_FROM = frozenset({"train", "validation", None})


def duplicate_findings(parts: Sequence[RecordedPart], *, progress: Progress) -> list[Finding]:
    """Parts whose images are the same in all views, byte by byte.

    Only parts whose files are of the same lengths are read.
    """
    by_length: dict[tuple[tuple[str, int], ...], list[RecordedPart]] = defaultdict(list)
    for part in parts:
        lengths = _lengths(part)
        if lengths:
            by_length[lengths].append(part)
    suspects = [part for group in by_length.values() if len(group) > 1 for part in group]
    by_content: dict[str, list[RecordedPart]] = defaultdict(list)
    for part in progress(suspects, "equal lengths", len(suspects)):
        digest = _digest(part)
        if digest is not None:
            by_content[digest].append(part)
    return list(_told(group for group in by_content.values() if len(group) > 1))


def _told(groups: Iterable[Sequence[RecordedPart]]) -> Iterator[Finding]:
    both: list[str] = []
    plain: list[str] = []
    for group in groups:
        names = ", ".join(part.part_id for part in group)
        splits = {part.split in _LEARNED_FROM for part in group}
        text = f"{names}: the same images in all views"
        if len(splits) > 1:
            both.append(f"{text}; learned from and tested, which makes a model look better than it is")
        else:
            plain.append(f"{text}; keep one of them")
    yield from listed(both, "duplicates", lambda name, text: warning(name, text, grave=True))
    yield from listed(plain, "duplicates", warning)


def name_findings(parts: Sequence[RecordedPart]) -> list[Finding]:
    """Parts whose names differ in capitals or in the spelling of accents only."""
    alike: dict[str, list[str]] = defaultdict(list)
    for part in parts:
        alike[unicodedata.normalize("NFC", part.part_id).casefold()].append(part.part_id)
    return listed(
        [
            f"{' and '.join(names)} differ in capitals or accents only: Windows and macOS take them for one "
            "part; rename all but one"
            for names in alike.values()
            if len(names) > 1
        ],
        "names",
        warning,
    )


def _lengths(part: RecordedPart) -> tuple[tuple[str, int], ...]:
    """View and file length of all images; nothing where one is not there."""
    try:
        return tuple((view, file.stat().st_size) for view, file in sorted(part.images.items()))
    except OSError:
        return ()


def _digest(part: RecordedPart) -> str | None:
    digest = hashlib.sha256()
    for file in dict.fromkeys(file for _, file in sorted(part.images.items())):
        try:
            digest.update(_content(file))
        except OSError:
            return None
    return digest.hexdigest()


def _content(file: Path) -> bytes:
    inner = hashlib.sha256()
    with file.open("rb") as opened:
        while block := opened.read(_BLOCK):
            inner.update(block)
    return inner.digest()
