"""Nothing vanishes: parts through synchroniser, decision, outbox, broker, controller, with random kills."""

from __future__ import annotations

import random
import time
from pathlib import Path

from faults.figures import Figure
from faults.site import Site, site, wait_for

__all__ = ["conservation"]


def conservation(folder: Path, *, parts: int, rate_hz: float, kills: int) -> list[Figure]:
    """Broker, box or controller is killed at random moments; then the books are compared."""
    chance = random.Random(11)  # noqa: S311 - moments, not secrets
    fault = f"conservation, {kills} kills"
    with site(folder) as place:
        _box(place, parts, rate_hz)
        for _ in range(kills):
            time.sleep(parts / rate_hz / (kills + 1) * chance.uniform(0.5, 1.3))
            _kill(place, chance.choice(("broker", "box", "controller")), parts, rate_hz)
        place.boxes[-1].wait(parts / rate_hz * 4 + 120)
        wait_for(lambda: place.waiting() == 0, 60)
        place.stop_controller()
        triggers = set(_lines(folder / "triggers.txt"))
        decided = [line.split() for line in _lines(folder / "decided.txt")]
        made, received = set(place.made_ids()), place.received_ids()
    in_hand = triggers - {trigger for trigger, _ in decided}
    cut_short = {result for _, result in decided} - set(received)
    return [
        Figure(fault=fault, what="triggers", value=len(triggers), limit=parts, at_least=True),
        Figure(fault=fault, what="decisions", value=len(decided)),
        Figure(fault=fault, what="triggers in hand when the box was killed", value=len(in_hand)),
        Figure(
            fault=fault,
            what="parts decided twice",
            value=len(decided) - len({t for t, _ in decided}),
            limit=0,
        ),
        Figure(
            fault=fault,
            what="triggers - decisions - in hand",
            value=len(triggers) - len(decided) - len(in_hand),
            limit=0,
        ),
        Figure(fault=fault, what="results stored", value=len(made)),
        Figure(fault=fault, what="stored and not delivered", value=len(made - set(received)), limit=0),
        Figure(
            fault=fault,
            what="delivered twice after deduplication",
            value=len(received) - len(set(received)),
            limit=0,
        ),
        Figure(fault=fault, what="decided but killed before the disk had it", value=len(cut_short)),
    ]


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
