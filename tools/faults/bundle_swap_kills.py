"""A change of bundles, killed at every step on the disk: the box must start with the old or the new one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from edgeflow.alarms import Alarms
from edgeflow.bundles.trust import note_as_run
from edgeflow.config.box import load_config
from edgeflow.decision.session import Session
from edgeflow.mqtt.link import MqttLink
from edgeflow.station.active_bundle import ActiveBundle, load_verified, open_for_box
from edgeflow.station.operations import Operations
from edgeflow.station.process.service_manager import ServiceManager
from edgeflow.station.state import StationState

STEPS = ("os.rename", "os.symlink", "os.remove", "os.mkdir", "open")


@dataclass(frozen=True, kw_only=True)
class Swap:
    """State that one killed change left behind.

    Attributes:
        step: before which operation on the disk it was killed; 0: it came to its end.
        version: of the bundle that the box starts with now.
    """

    verb: str
    step: int
    version: int


def swap(box: Path, verb: str, step: int) -> None:
    """Run a box's parts without its line, change the bundle, and end by SIGKILL before the given step."""
    config = load_config(box)
    bundle, order = open_for_box(config, config.bundle)
    session = Session(id="s")
    bundles = ActiveBundle(load_verified(config, bundle, order, session=session))
    note_as_run(bundle, config.trust)
    link = MqttLink(config, "s")
    alarms = Alarms("s", link)
    operations = Operations(
        config=config,
        session=session,
        bundles=bundles,
        state=StationState(link, "s", lambda: "bracket"),
        alarms=alarms,
        evidence=None,
        publish_birth=lambda _bundle, _graph, _chosen_by: None,
        manager=ServiceManager(""),
    )
    _kill_before(step, config.bundle.parent, config.outbox.path.parent)
    getattr(operations, verb)({"bundle": "two.bundle"} if verb == "reload" else {})


def _kill_before(step: int, *folders: Path) -> None:
    """Count what is done to these folders; reading bundles counts too."""
    left = step
    watched = tuple(str(folder) for folder in folders)

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event in STEPS and any(str(argument).startswith(watched) for argument in arguments):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def kill_again_and_again(box: Path, kills: int) -> list[Swap]:
    """Change bundles to and fro, each time killed one step later, until so many kills were survived.

    Raises:
        EdgeflowError: the box would not start after one of them.
    """
    done: list[Swap] = []
    verb, steps = "reload", {"reload": 1, "rollback": 1}
    while sum(one.step > 0 for one in done) < kills:
        step = steps[verb]
        command = [sys.executable, __file__, "--one", str(box), verb, str(step)]
        child = subprocess.run(command, capture_output=True, text=True, check=False)
        if child.returncode not in (0, -signal.SIGKILL):
            raise RuntimeError(f"{verb}, step {step}: {child.stderr}")
        killed = child.returncode != 0
        done.append(Swap(verb=verb, step=step if killed else 0, version=_starts_with(box)))
        steps[verb] = step + 1 if killed else 1
        if done[-1].version == (2 if verb == "reload" else 1):
            verb = "rollback" if verb == "reload" else "reload"
    return done


def _starts_with(box: Path) -> int:
    config = load_config(box)
    bundle, _ = open_for_box(config, config.bundle)
    bundle.close()
    return bundle.manifest.version


def main() -> None:
    """Usage: bundle_swap_kills.py BOX KILLS; BOX as tools/simulators/small_box.py writes it."""
    if sys.argv[1] == "--one":
        swap(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
        return
    done = kill_again_and_again(Path(sys.argv[1]), int(sys.argv[2]))
    killed = [one for one in done if one.step]
    print(f"{len(killed)} kills, {len(done) - len(killed)} changes to their end")
    print("kills by verb:", dict(Counter(one.verb for one in killed)))
    print("steps:", sorted({(one.verb, one.step) for one in killed}))
    print("started with version:", dict(Counter(one.version for one in done)))


if __name__ == "__main__":
    main()
