"""The agent's view of its box: the bundle that runs, the parts that it judged, and commands to it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from edgeflow.bundles import current_link
from edgeflow.bundles.bundle import Bundle
from edgeflow.bundles.trust import open_admitted
from edgeflow.clock import utc_now
from edgeflow.commands.control_socket import ask
from edgeflow.config.box import BoxConfig
from edgeflow.config.products.resolve import only_product, product_named
from edgeflow.errors import EdgeflowError, HardwareError, IntegrityError, StorageError, UsageError
from edgeflow.fleet.box_files.steps import Running
from edgeflow.fleet.rollout import Release
from edgeflow.fleet.steps import Observed, Proof
from edgeflow.history.filters import ResultFilter
from edgeflow.history.reader import HistoryReader
from edgeflow.history.records import Position
from edgeflow.shadow.store import ShadowReader

__all__ = ["Box"]

_FAILURES = ("scoring_failed", "score_not_finite", "no_threshold", "not_scored")
_ABOUT_THE_BUNDLE = (2, 3, 4, 5)  # exit codes that no later try changes
_MOST_PARTS = 20  # times the parts that are watched, read at once
_BEFORE = 500  # latest parts of the bundle before, for its share of NG
_USER = "fleet"
_IN_ORDER = ("Ready", "ContinuousExecution")


@dataclass(kw_only=True)
class Box:
    """A box by its file: its links, its history, its local socket.

    Attributes:
        ask: sends a command to the running box.
    """

    config: BoxConfig
    ask: Callable[..., dict[str, object]] = ask
    _known: dict[Path, tuple[object, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        fleet = self.config.fleet
        self._own = product_named(self.config, fleet.product if fleet else None)
        if not self.link.is_symlink():
            raise UsageError(
                f"{self.link}: a file, not a link; for a fleet 'bundle:' names a link: ln -s NAME.bundle "
                f"{self.link.name}"
            )

    @property
    def link(self) -> Path:
        """The link that names the bundle of the next start."""
        return self._own.bundle

    def running(self) -> str:
        """Return the SHA-256 of the bundle that the box runs, or would start with.

        Raises:
            EdgeflowError: it cannot be read.
        """
        return self._sha256(self.link.resolve())

    def previous(self) -> str:
        """Return the SHA-256 of the bundle before; empty where there is none."""
        try:
            return self._sha256(current_link.previous_target(self.link).resolve())
        except EdgeflowError:
            return ""

    def place(self, release: Release) -> Path:
        """Return the place of a release's bundle: beside the running one."""
        return self.link.with_name(f"{release.id}.bundle")

    def has(self, release: Release) -> bool:
        """Return True if the release's bundle lies in its place."""
        path = self.place(release)
        try:
            return path.is_file() and self._sha256(path) == release.sha256
        except EdgeflowError:
            return False

    def admit(self, release: Release) -> None:
        """Check a bundle as the box will: its own signature, product, version, device class, expiry.

        Raises:
            IntegrityError: the box would not run it.
        """
        with open_admitted(
            self.place(release), self._own.trust, utc_now(), only_product(self._own)
        ) as bundle:
            if bundle.sha256 != release.sha256:
                raise IntegrityError(f"{self.place(release)}: is not the bundle of release {release.id}")

    def tidy(self, keep: set[str]) -> None:
        """Remove bundles of earlier releases, and what is left of downloads, but for those that links name.

        Args:
            keep: ids of releases.
        """
        linked = {self.link.resolve()} | {
            other.resolve() for other in self.link.parent.iterdir() if other.is_symlink()
        }
        marker = self.config.fleet_path / "brought"
        with contextlib.suppress(OSError):
            for name in marker.read_text("utf-8").splitlines() if marker.exists() else ():
                path = self.link.with_name(f"{name}.bundle")
                if name not in keep and path.resolve() not in linked:
                    path.unlink(missing_ok=True)
                    path.with_name(f".{path.name}.part").unlink(missing_ok=True)

    def note_brought(self, release: Release) -> None:
        """Remember that the fleet brought this bundle, so that nothing else is ever removed."""
        marker = self.config.fleet_path / "brought"
        names = marker.read_text("utf-8").splitlines() if marker.exists() else []
        if release.id not in names:
            marker.write_text("\n".join([*names, release.id]) + "\n", "utf-8")

    def switch(self, release: Release) -> None:
        """Let the running box verify the bundle and take it between two parts.

        Raises:
            IntegrityError: it refuses the bundle.
            HardwareError: no box runs, or it does not answer.
        """
        self._command("reload", {"bundle": self.place(release).name})

    def roll_back(self, sha256: str) -> None:
        """Let the running box leave a bundle for the one before; twice is once.

        Raises:
            IntegrityError: it refuses.
            HardwareError: no box runs, or it does not answer.
        """
        self._command("rollback", {"from": sha256})

    @property
    def can_prove(self) -> bool:
        """True if the box file's section ``shadow`` is the agent's: for its product, and with a free link."""
        shadow, fleet = self.config.shadow, self.config.fleet
        if shadow is None:
            return False
        if fleet is not None and fleet.product and shadow.product not in (None, fleet.product):
            return False
        return shadow.bundle.is_symlink() or not shadow.bundle.exists()

    def shadow(self, target: Path | None) -> None:
        """Let the candidate's link name a bundle, where the box has a section ``shadow``; None: none.

        Raises:
            StorageError: the link cannot be changed.
        """
        shadow = self.config.shadow
        if shadow is None or not self.can_prove:
            return
        link = shadow.bundle
        try:
            if target is None:
                link.unlink(missing_ok=True)
            elif not link.exists() or link.resolve() != target.resolve():
                link.parent.mkdir(parents=True, exist_ok=True)
                partial = link.with_name(f".{link.name}.new")
                partial.unlink(missing_ok=True)
                partial.symlink_to(target.resolve())
                partial.replace(link)
        except OSError as cause:
            raise StorageError(f"{link}: cannot be changed: {cause.strerror}; check rights") from cause

    def previous_path(self) -> Path | None:
        """Return the file of the bundle before; None where there is none."""
        try:
            return current_link.previous_target(self.link)
        except EdgeflowError:
            return None

    def latest(self) -> Position:
        """Return the latest result.

        Raises:
            StorageError: the history cannot be read.
        """
        if not self.config.history_path.exists():
            return Position()
        with HistoryReader(self.config.history_path) as reader:
            return reader.position()

    def observed(self, sha256: str, baseline: Position, parts: int, before: str) -> Observed:
        """Return what became of the first parts under a bundle.

        Args:
            baseline: only results after it count.
            parts: so many, from the first on.
            before: SHA-256 of the bundle before.

        Raises:
            StorageError: the history cannot be read.
        """
        with HistoryReader(self.config.history_path) as reader:
            since = reader.after(baseline)
            rows = [
                row
                for row in reader.each(ResultFilter(bundle_sha256=sha256), count=_MOST_PARTS * parts)
                if row.number > since
            ][-parts:]
            earlier = reader.rows(ResultFilter(bundle_sha256=before), count=_BEFORE) if before else []
        undecided = [row for row in rows if row.verdict == "UNDECIDED"]
        return Observed(
            parts=len(rows),
            undecided=len(undecided),
            failures=sum(row.reason_code in _FAILURES for row in undecided),
            ng=sum(row.verdict == "NG" for row in rows),
            ng_before=sum(row.verdict == "NG" for row in earlier) / len(earlier) if earlier else 0.0,
        )

    def started(self) -> Running | None:
        """Return the box that runs now; None where none answers."""
        try:
            status = self.ask(self.config.control_socket, "status", {}, _USER).get("status")
        except EdgeflowError:
            return None
        if not isinstance(status, dict):
            return None
        return Running(
            sha256=str(status.get("box_file_sha256", "")),
            session=str(status["session"]),
            in_order=status["state"] in _IN_ORDER,
        )

    def begin_anew(self) -> None:
        """Let the running box start with its file as it is now.

        Raises:
            IntegrityError: it refuses.
            HardwareError: no box runs, or it does not answer.
        """
        self._send("restart", {})

    def first_parts(self, baseline: Position, parts: int) -> tuple[int, int]:
        """Return how many of the first parts after a result there are, and how many of them UNDECIDED.

        Raises:
            StorageError: the history cannot be read.
        """
        if not self.config.history_path.exists():
            return 0, 0
        with HistoryReader(self.config.history_path) as reader:
            since = reader.after(baseline)
            rows = [row for row in reader.each(count=_MOST_PARTS * parts) if row.number > since][-parts:]
        return len(rows), sum(row.verdict == "UNDECIDED" for row in rows)

    def proof(self, candidate: str, running: str) -> Proof:
        """Return what two bundles made of the same parts, one of them beside the other."""
        try:
            with ShadowReader(self.config.shadow_path) as reader:
                for number, (info, _) in reader.candidates(candidate).items():
                    if info.running_sha256 == running:
                        counts = reader.counts(number)
                        turned = counts["to_ng"] + counts["to_ok"] + counts["candidate_undecided"]
                        return Proof(compared=counts["same"] + counts["near"] + turned, turned=turned)
        except EdgeflowError:
            return Proof()
        return Proof()

    def _command(self, verb: str, arguments: dict[str, str]) -> None:
        fleet = self.config.fleet
        if fleet is not None and fleet.product is not None:
            arguments["product"] = fleet.product
        self._send(verb, arguments)

    def _send(self, verb: str, arguments: dict[str, str]) -> None:
        answer = self.ask(self.config.control_socket, verb, arguments, _USER)
        reply = answer.get("reply")
        if answer.get("exit_code") == 0 or not isinstance(reply, dict):
            return
        text = f"the box did not carry out '{verb}': {reply.get('text')}"
        if answer.get("exit_code") in _ABOUT_THE_BUNDLE and "busy" not in text:
            raise IntegrityError(text)
        raise HardwareError(text)

    def _sha256(self, path: Path) -> str:
        """SHA-256 of a bundle's manifest; read again only where the file has changed."""
        try:
            found = path.stat()
        except OSError as cause:
            raise StorageError(f"{path}: cannot be read: {cause.strerror}") from cause
        identity = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        known = self._known.get(path)
        if known is None or known[0] != identity:
            with Bundle.open(path) as bundle:
                self._known[path] = known = (identity, bundle.sha256)
        return known[1]
