"""Nothing vanishes: parts through synchroniser, decision, outbox, broker, controller, with random kills."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

from faults.accounting import Books
from faults.figures import Figure
from faults.latency_subscriber import Watcher
from faults.rig import Site, site, wait_for

__all__ = ["conservation"]


def conservation(folder: Path, *, parts: int, rate_hz: float, kills: int) -> list[Figure]:
    """Broker, box or controller is killed at random moments; then the books are compared."""
    chance = random.Random(11)  # noqa: S311 - moments, not secrets
    with site(folder) as place:
        gate = Watcher(place.host, place.port, "decision")
        _box(place, parts, rate_hz)
        for _ in range(kills):
            time.sleep(parts / rate_hz / (kills + 1) * chance.uniform(0.5, 1.3))
            _kill(place, chance.choice(("broker", "box", "controller")), parts, rate_hz)
        place.boxes[-1].wait(parts / rate_hz * 4 + 120)
        wait_for(lambda: place.waiting() == 0, 60)
        place.stop_controller()
        gate.close()
        books = _books(place, gate, rate_hz)
    return books.figures(f"conservation, {kills} kills", parts)


def _books(place: Site, gate: Watcher, rate_hz: float) -> Books:
    decided = (line.split() for line in _lines(place.folder / "decided.txt"))
    return Books(
        triggers=_lines(place.folder / "triggers.txt"),
        decided=[(trigger, result) for trigger, result in decided],
        stored=place.made_ids(),
        received=place.received_ids(),
        told=gate.highest,
        killed=[
            f"s{number:04d}" for number, box in enumerate(place.boxes, 1) if box.returncode == -signal.SIGKILL
        ],
        in_hand=round(rate_hz),  # a second's; a set that lacks a frame waits for 0.1 s
    )


def _kill(place: Site, whom: str, parts: int, rate_hz: float) -> None:
    if whom == "broker":
        place.kill_broker()
        place.start_broker()
    elif whom == "controller":
        place.controllers[-1].kill()
        place.controllers[-1].wait()
        place.start_controller()
    elif place.boxes[-1].poll() is None:
        place.kill_box()
        _box(place, parts - len(_lines(place.folder / "triggers.txt")), rate_hz)


def _box(place: Site, parts: int, rate_hz: float) -> None:
    if parts > 0:
        place.start_box(rate_hz=rate_hz, count=parts, options=("--parts",))


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
