"""Operations: the commands that a running box carries out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgeflow.alarms import Alarms
from edgeflow.bundles import current_link
from edgeflow.bundles.bundle import Bundle
from edgeflow.bundles.trust import note_as_run
from edgeflow.bundles.version_record import permit_older
from edgeflow.commands.dispatcher import AttributedOperation, Operation
from edgeflow.config.box import BoxConfig
from edgeflow.contracts.manifest import Graph, Manifest
from edgeflow.contracts.messages import GraphChosenBy
from edgeflow.decision.session import Session
from edgeflow.errors import EdgeflowError, UsageError
from edgeflow.evidence.writer import Evidence
from edgeflow.history.labelling import label_by_command
from edgeflow.station.active_bundle import ActiveBundle, load_verified, open_for_box, warn_of_graph
from edgeflow.station.process.service_manager import PROOF_S, ServiceManager
from edgeflow.station.state import StationState

__all__ = ["Operations"]


@dataclass(frozen=True, kw_only=True)
class Operations:
    """Commands, executed on the thread of the command dispatcher while the line runs.

    Attributes:
        reset_triggers: forgets what the line's triggers are compared with.
        publish_birth: publishes which bundle inspects from the next part on.
    """

    config: BoxConfig
    session: Session
    bundles: ActiveBundle
    state: StationState
    alarms: Alarms
    evidence: Evidence | None
    publish_birth: Callable[[Bundle, Graph, GraphChosenBy], None]
    manager: ServiceManager
    reset_triggers: Callable[[], None] = lambda: None

    def verbs(self) -> dict[str, Operation | AttributedOperation]:
        """Return verb → operation."""
        return {
            "start": self.start,
            "stop": self.stop,
            "reset": self.reset,
            "snapshot": self.snapshot,
            "reload": self.reload,
            "rollback": self.rollback,
            "recalibrate": self.recalibrate,
            "label": AttributedOperation(carry_out=self.label),
        }

    def start(self, arguments: Mapping[str, str]) -> str:
        """Start the inspection of parts."""
        _only(arguments)
        return f"{self.state.move('start', 'running')}: parts are inspected"

    def stop(self, arguments: Mapping[str, str]) -> str:
        """Stop the inspection of parts; cameras and connections stay."""
        _only(arguments)
        state = self.state.move("stop", "stopped by command")
        return f"{state}: no part is inspected until 'start'; a restart of the box starts it, too"

    def reset(self, arguments: Mapping[str, str]) -> str:
        """Clear all alarms and leave an error state."""
        _only(arguments)
        cleared = self.alarms.clear_all()
        self.reset_triggers()
        state = self.state.move("reset", "running" if self.state.running else "reset")
        return f"{state}: {cleared} alarms cleared; problems that still exist are raised again"

    def snapshot(self, arguments: Mapping[str, str]) -> str:
        """Keep the next part's evidence, whatever its verdict."""
        _only(arguments)
        if self.evidence is None or self.config.evidence is None:
            raise UsageError("this box keeps no evidence; give its file a section 'evidence'")
        self.evidence.snapshot()
        return f"the next part is kept below {self.config.evidence.dir}, whatever its verdict"

    def label(self, arguments: Mapping[str, str], who: str, source: Literal["mqtt", "local"]) -> str:
        """Record a person's label of a part, in the history and beside its images."""
        if not self.config.history.enabled:
            raise UsageError("this box keeps no history (history.enabled), and labels belong to it")
        return label_by_command(self.config.history_path, arguments, who=who, source=source)

    def recalibrate(self, arguments: Mapping[str, str]) -> str:
        """Refuse: thresholds are part of the bundle, which is signed elsewhere."""
        _only(arguments)
        raise UsageError(
            "not while the box runs: thresholds belong to the bundle and are signed with it; run "
            "'edgeflow calibrate BUNDLE PARTS -o NAME.bundle --sign KEY', copy it beside the present one, "
            "then 'reload bundle=NAME.bundle'"
        )

    def reload(self, arguments: Mapping[str, str]) -> str:
        """Verify another bundle, or the present file again, and exchange it."""
        _only(arguments, "bundle")
        current = self.config.bundle
        name = arguments.get("bundle")
        path = current if name is None else current_link.sibling(current, name)
        return self._take(path, self.config, link=name is not None)

    def rollback(self, arguments: Mapping[str, str]) -> str:
        """Go back to the previous bundle, although it may be older than the installed record allows."""
        _only(arguments)
        path = current_link.previous_target(self.config.bundle)
        trust = self.config.trust
        older = trust.model_copy(update={"allow_older": True}) if trust else None
        return self._take(path, self.config.model_copy(update={"trust": older}), link=True)

    def _take(self, path: Path, config: BoxConfig, *, link: bool) -> str:
        """Verify a bundle beside the one that runs; only then exchange files and line.

        The order holds at every crash: what the box would start with is whole, and allowed.
        """
        bundle, order = open_for_box(config, path)
        try:
            self._check_fits(bundle.manifest)
            with self.manager.patience(PROOF_S, f"verifying {path.name}"):
                loaded = load_verified(config, bundle, order, session=self.session)
        except EdgeflowError as cause:
            bundle.close()
            self.alarms.raise_("golden_parts", "error", f"{path.name} not taken: {cause.message}")
            raise
        try:
            record = config.trust.installed if config.trust else None
            if record is not None and config.trust and config.trust.allow_older:
                permit_older(record, bundle.manifest, bundle.sha256)
            if link:
                current_link.switch(self.config.bundle, path)
            note_as_run(bundle, config.trust)
        except EdgeflowError:
            loaded.close()
            raise
        self.bundles.offer(loaded)
        self.alarms.clear("golden_parts")
        warn_of_graph(loaded, self.alarms)
        self.publish_birth(bundle, loaded.graph, loaded.chosen_by)
        self.state.publish()
        manifest = bundle.manifest
        return (
            f"{manifest.name} version {manifest.version} ({bundle.sha256[:16]}) has reproduced its golden "
            "parts and inspects from the next part on"
        )

    def _check_fits(self, manifest: Manifest) -> None:
        """Another product, or other views, take a restart: who reads results may expect neither."""
        running = self.bundles.newest.manifest
        if manifest.view_ids != running.view_ids:
            raise UsageError(
                f"its views are {', '.join(manifest.view_ids)}, the cameras run for "
                f"{', '.join(running.view_ids)}; restart the box"
            )
        if manifest.name != running.name:
            raise UsageError(
                f"it is of product '{manifest.name}', the box inspects '{running.name}'; to change "
                "that on purpose, restart the box with that bundle"
            )


def _only(arguments: Mapping[str, str], *known: str) -> None:
    unknown = ", ".join(sorted(set(arguments) - set(known)))
    if unknown:
        raise UsageError(f"unknown arguments: {unknown}; this command takes: {', '.join(known) or 'none'}")
