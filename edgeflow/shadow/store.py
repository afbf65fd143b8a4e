"""Compared parts in a database of their own: written by the candidate's process, read by the report."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgeflow.contracts.messages import VerdictName
from edgeflow.errors import StorageError, UsageError
from edgeflow.shadow.comparison import OUTCOMES, Outcome

__all__ = ["CandidateInfo", "ShadowPart", "ShadowReader", "ShadowStore", "pictures_folder"]

_FORMAT = 1
_BUSY_S = 5.0
_PRUNE_EVERY = 100
_TABLES = """
CREATE TABLE candidates (
    id INTEGER PRIMARY KEY,
    sha256 TEXT NOT NULL,
    graph TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    running_sha256 TEXT NOT NULL,
    first_at TEXT NOT NULL,
    UNIQUE (sha256, graph, running_sha256)
);
CREATE TABLE parts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    candidate INTEGER NOT NULL REFERENCES candidates (id),
    result_id TEXT NOT NULL,
    part_id TEXT NOT NULL,
    decided_at TEXT NOT NULL,
    running TEXT NOT NULL, -- verdict
    running_score REAL, -- 1.0 is the threshold, as in the next one
    score REAL,
    verdict TEXT NOT NULL,
    reason TEXT NOT NULL,
    outcome TEXT NOT NULL,
    evidence TEXT, -- folder
    picture TEXT -- file in the folder of pictures
);
CREATE INDEX parts_outcome ON parts (candidate, outcome);
CREATE TABLE counts ( -- also of parts that are no longer kept
    candidate INTEGER NOT NULL REFERENCES candidates (id),
    what TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (candidate, what)
);
"""


@dataclass(frozen=True, kw_only=True)
class CandidateInfo:
    """A candidate, and the bundle that it is compared with."""

    sha256: str
    graph: str
    name: str
    version: int
    running_sha256: str


@dataclass(frozen=True, kw_only=True)
class ShadowPart:
    """One part by both bundles.

    Attributes:
        running_score, score: 1.0 is the threshold; None where there is none.
        picture: of the candidate's maps, of a part that would turn; a file in the folder of pictures.
    """

    result_id: str
    part_id: str
    decided_at: str
    running: VerdictName
    running_score: float | None
    verdict: VerdictName
    score: float | None
    reason: str
    outcome: Outcome
    evidence: str | None = None
    picture: str | None = None


def pictures_folder(database: Path) -> Path:
    """Return the folder of pictures that belongs to a database."""
    return database.with_name(f"{database.stem}-pictures")


class ShadowStore:
    """Writes compared parts, a bounded number of them.

    Raises:
        StorageError: the file cannot be opened or made.
    """

    def __init__(self, path: Path, *, max_parts: int, max_pictures: int) -> None:
        self._path, self._max_parts, self._max_pictures = path, max_parts, max_pictures
        self._written = 0
        with self._errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
            if self._format() != _FORMAT:
                self._begin_anew()
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")

    def candidate(self, info: CandidateInfo, at: str) -> int:
        """Return the number of a candidate; it is written where it is new.

        Raises:
            StorageError: the file cannot be written.
        """
        key = (info.sha256, info.graph, info.running_sha256)
        with self._errors():
            self._connection.execute(
                "INSERT OR IGNORE INTO candidates (sha256, graph, running_sha256, name, version, first_at) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (*key, info.name, info.version, at),
            )
            row = self._connection.execute(
                "SELECT id FROM candidates WHERE sha256 = ? AND graph = ? AND running_sha256 = ?", key
            ).fetchone()
        return int(row[0])

    def add(self, candidate: int, part: ShadowPart) -> None:
        """Keep a part, and count it.

        Raises:
            StorageError: the file cannot be written.
        """
        values = (
            candidate, part.result_id, part.part_id, part.decided_at, part.running, part.running_score,
            part.score, part.verdict, part.reason, part.outcome, part.evidence, part.picture,
        )  # fmt: skip
        with self._errors(), self._transaction():
            self._connection.execute(
                "INSERT INTO parts (candidate, result_id, part_id, decided_at, running, running_score, "
                "score, verdict, reason, outcome, evidence, picture) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )
            self._count(candidate, part.outcome, 1)
            self._written += 1
            if self._written % _PRUNE_EVERY == 1:
                self._prune()
        self._prune_pictures()

    def count(self, candidate: int, counts: Mapping[str, int]) -> None:
        """Add to counts, such as those of parts that were skipped.

        Raises:
            StorageError: the file cannot be written.
        """
        if not counts:
            return
        with self._errors(), self._transaction():
            for what, number in counts.items():
                self._count(candidate, what, number)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _count(self, candidate: int, what: str, number: int) -> None:
        self._connection.execute(
            "INSERT INTO counts VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
            (candidate, what, number),
        )

    def _prune(self) -> None:
        self._connection.execute(
            "DELETE FROM parts WHERE id <= (SELECT MAX(id) FROM parts) - ?", (self._max_parts,)
        )

    def _prune_pictures(self) -> None:
        folder = pictures_folder(self._path)
        if folder.is_dir():
            files = sorted(folder.glob("*.jpg"))
            for file in files[: max(0, len(files) - self._max_pictures)]:
                file.unlink(missing_ok=True)

    def _format(self) -> int:
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    def _begin_anew(self) -> None:
        """Comparisons of another version of this program are worth less than a simple file."""
        names = [
            name
            for (name,) in self._connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            )
        ]
        for name in reversed(names):
            self._connection.execute(f'DROP TABLE "{name}"')
        self._connection.executescript(f"BEGIN;{_TABLES}PRAGMA user_version = {_FORMAT};COMMIT;")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as cause:
            raise StorageError(f"{self._path}: comparisons cannot be written: {cause}") from cause


class ShadowReader:
    """Reads compared parts; a running box is not disturbed. Use it as a context.

    Raises:
        UsageError: nothing was compared yet.
        StorageError: the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        if not path.is_file():
            raise UsageError(
                f"{path}: no part was compared yet; give the box file a section 'shadow', and run the box"
            )
        with self._errors():
            self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=_BUSY_S)
            found = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if found != _FORMAT:
            raise StorageError(f"{path}: written by another version of edgeflow, or no comparisons")

    def __enter__(self) -> ShadowReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def candidates(self, sha256: str | None = None) -> dict[int, tuple[CandidateInfo, str]]:
        """Return number → candidate and the time of its first load, the latest first."""
        query = (
            "SELECT id, sha256, graph, name, version, running_sha256, first_at FROM candidates "
            "WHERE ?1 IS NULL OR sha256 = ?1 ORDER BY id DESC"
        )
        with self._errors():
            return {
                number: (
                    CandidateInfo(
                        sha256=sha, graph=graph, name=name, version=version, running_sha256=running
                    ),
                    at,
                )
                for number, sha, graph, name, version, running, at in self._connection.execute(
                    query, (sha256,)
                )
            }

    def counts(self, candidate: int) -> dict[str, int]:
        """Return outcome or reason of a skipped part → number of parts, of all that were ever offered."""
        with self._errors():
            found = self._connection.execute(
                "SELECT what, count FROM counts WHERE candidate = ?", (candidate,)
            )
            return {**dict.fromkeys(OUTCOMES, 0), **dict(found.fetchall())}

    def parts(self, candidate: int, outcome: Outcome | None = None) -> Iterator[ShadowPart]:
        """Yield the kept parts, the latest first."""
        query = (
            "SELECT result_id, part_id, decided_at, running, running_score, score, verdict, reason, outcome, "
            "evidence, picture FROM parts WHERE candidate = ?1 AND (?2 IS NULL OR outcome = ?2) "
            "ORDER BY id DESC"
        )
        with self._errors(), closing(self._connection.execute(query, (candidate, outcome))) as rows:
            for row in rows:
                yield ShadowPart(
                    result_id=row[0], part_id=row[1], decided_at=row[2], running=row[3], running_score=row[4],
                    score=row[5], verdict=row[6], reason=row[7], outcome=row[8], evidence=row[9],
                    picture=row[10],
                )  # fmt: skip

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as cause:
            raise StorageError(f"{self._path}: comparisons cannot be read: {cause}") from cause
