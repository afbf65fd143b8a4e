"""Fault 12: commands, bundles, graphs and box files that are attacks, while the box inspects parts."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edgeflow.commands.control_socket import ask
from edgeflow.config.box import load_config
from faults.bundle_attacks import ATTACKS, OURS, with_listed
from faults.command_attacks import HUGE, Attacker
from faults.command_attacks import attacks as command_attacks
from faults.figures import Figure
from faults.hostile_graphs import HOSTILE
from faults.rig import Site, site, wait_for
from simulators.small_box import ROOT, start_box, write_box

__all__ = ["attacks"]

_REFUSED_S = 5.0
_INTEGRITY = 5


@dataclass(frozen=True, kw_only=True)
class _Tried:
    """Outcome of one attack: the answer, its delay, and the number of parts decided meanwhile."""

    kind: str
    name: str
    refused: bool
    after_s: float
    parts: int

    @property
    def held(self) -> bool:
        return self.refused and self.after_s <= _REFUSED_S and self.parts > 0


def attacks(folder: Path, *, every: int = 1) -> list[Figure]:
    """All commands, and of the other attacks every so-manieth; 256 MB only where all are tried.

    Hostile images and checkpoints do not come over the network: their tests hold them.
    """
    with site(folder, controller=False) as place, _box(place) as (box, attacker):
        tried = list(_commands(attacker, huge=every == 1))
        tried += _bundles(box, attacker, every)
        tried += _box_files(box, attacker, every)
        attacker.client.loop_stop()
        version = ask(load_config(box).control_socket, "status", {})["status"]["bundle"]["version"]
    for one in tried:
        if not one.held:
            print(f"not held: {one}", file=sys.stderr)
    return _figures(tried, folder / "out.jsonl", version)


def _figures(tried: list[_Tried], out: Path, version: int) -> list[Figure]:
    seen = [json.loads(line) for line in out.read_text().splitlines() if '"reason"' in line]
    reasons = Counter(part["reason"] for part in seen if part["verdict"] == "UNDECIDED")
    for reason, count in reasons.items():
        print(f"UNDECIDED {count}x: {reason}", file=sys.stderr)
    fault, kinds = "12 attacks", Counter(one.kind for one in tried)
    slowest = max(one.after_s for one in tried)
    idle = sum(not one.parts for one in tried)
    return [
        *(Figure(fault=fault, what=f"{kind}, tried", value=count) for kind, count in kinds.items()),
        Figure(fault=fault, what="not refused", value=sum(not one.refused for one in tried), limit=0),
        Figure(fault=fault, what="slowest refusal, s", value=round(slowest, 2), limit=_REFUSED_S, timed=True),
        Figure(fault=fault, what="attacks without a part decided meanwhile", value=idle, limit=0),
        Figure(fault=fault, what="parts decided", value=len(seen)),
        Figure(fault=fault, what="of these UNDECIDED", value=reasons.total(), limit=0, timed=True),
        Figure(fault=fault, what="bundle exchanged", value=version != 1, limit=0),
    ]


@contextmanager
def _box(place: Site) -> Iterator[tuple[Path, Attacker]]:
    """A whole box that trusts one key, with a client that may say anything to it."""
    public = OURS.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (place.folder / "line.pub.pem").write_bytes(public)
    box = write_box(place.folder, place.port, signer=OURS, trust={"keys": ["line.pub.pem"]})
    with (place.folder / "out.jsonl").open("w") as out:  # a pipe that nobody reads would stop the box
        process = start_box(box, out=out)
        try:
            attacker = Attacker(port=place.port, root=ROOT)
            if not wait_for(lambda: attacker.decisions > 0, 60):
                raise SystemExit(f"the box does not start: {(place.folder / 'out.jsonl').read_text()}")
            yield box, attacker
        finally:
            process.terminate()
            process.wait(30)


def _commands(attacker: Attacker, *, huge: bool) -> Iterator[_Tried]:
    for attack in command_attacks(ROOT):
        if len(attack.payload) >= HUGE and not huge:
            continue
        found = attacker.attack(attack)
        # What the broker does not even deliver is answered by nobody.
        refused = found.outcome == ("refused" if attack.replies else "no reply")
        yield _Tried(
            kind="commands",
            name=attack.name,
            refused=refused or found.outcome == "not sendable",
            after_s=found.answered_after_s or 0.0,
            parts=found.parts_meanwhile,
        )


def _bundles(box: Path, attacker: Attacker, every: int) -> Iterator[_Tried]:
    """Asked for by whoever may command the box; the graphs are signed by whom the box trusts."""
    control, good = load_config(box).control_socket, box.parent / "bundles" / "two.bundle"

    def reload(bad: Path) -> bool:
        return bool(ask(control, "reload", {"bundle": bad.name})["exit_code"] == _INTEGRITY)

    bad = good.with_name("bad.bundle")
    for name, (attack, _) in list(ATTACKS.items())[::every]:
        attack(good, bad)
        yield _timed("bundles", name, attacker, lambda: reload(bad))
    for name, (make, _) in list(HOSTILE.items())[::every]:
        model = make()
        with_listed("mean.onnx", model if isinstance(model, bytes) else model.SerializeToString())(good, bad)
        yield _timed("graphs", name, attacker, lambda: reload(bad))


def _box_files(box: Path, attacker: Attacker, every: int) -> Iterator[_Tried]:
    """Box files for ``edgeflow check``, beside the line."""
    good, bad = box.read_text(), box.with_name("bad.yaml")

    def check() -> bool:
        command = [sys.executable, "-m", "edgeflow.cli", "check", str(bad)]
        return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 2

    for name, text in list(_BAD_YAML.items())[::every]:
        bad.write_text(f"{good}\n{text}\n")
        yield _timed("box files", name, attacker, check)


def _timed(kind: str, name: str, attacker: Attacker, refuses: Callable[[], bool]) -> _Tried:
    before, begun_s = attacker.decisions, time.monotonic()
    refused = refuses()
    after_s = time.monotonic() - begun_s
    wait_for(lambda: attacker.decisions > before, _REFUSED_S)
    return _Tried(kind=kind, name=name, refused=refused, after_s=after_s, parts=attacker.decisions - before)


def _merge_bomb() -> str:
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 9)]
    return "\n".join(lines)


_BAD_YAML = {
    "merge-key bomb": _merge_bomb(),
    "deep nesting": "a: " + "[" * 5000,
    "deep mappings": "a: " + "{b: " * 5000,
    "key given twice": "station: {site: other, line: l1, station: s1}",
    "object of a program": "a: !!python/object/apply:os.system [ls]",
    "70 kB": "#" * 70_000,
    "second document": "---\nbundle: other.bundle",
}
