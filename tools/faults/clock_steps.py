"""Fault 17: the box's wall clock is set by years, to and fro, while results wait and evidence is kept."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
from pathlib import Path

from edgeflow.delivery.store.database_file import read_only
from faults.figures import Figure
from faults.rig import Site, site, wait_for
from faults.whole_box import WholeBox, whole_box
from simulators.gige_cameras import NotPossibleError
from simulators.small_box import write_box

__all__ = ["clock_steps"]

_FAULT = "17 clock steps"
_DAY_S = 86_400
_STEPS_S = (-30 * _DAY_S, 0, 730 * _DAY_S, -20_000 * _DAY_S, 4 * _DAY_S, 7200, 0)  # the fourth: to about 1970
_BETWEEN_S = 2.5


def clock_steps(folder: Path, *, rounds: int) -> list[Figure]:
    """No consumer takes the results; all parts are kept as evidence, both for a day at most."""
    with site(folder, controller=False) as place:
        ahead = folder / "ahead"
        ahead.write_text("0")
        environment = {"LD_PRELOAD": str(_library(folder)), "WALL_CLOCK_AHEAD": str(ahead)}
        file = write_box(
            folder,
            place.port,
            outbox={"confirm": "consumer", "max_age_h": 24},
            evidence={"save": ["OK", "NG", "UNDECIDED"], "max_days": 1},
        )
        with whole_box(place, file, environment) as box:
            wait_for(lambda: len(box.decisions) > 0, 30)
            for _ in range(rounds):
                for step_s in _STEPS_S:
                    ahead.write_text(str(step_s))
                    time.sleep(_BETWEEN_S)
            told = "clock_jumped" in box.alarms
        return _accounts(place, box, told=told, steps=rounds * len(_STEPS_S))


def _accounts(place: Site, box: WholeBox, *, told: bool, steps: int) -> list[Figure]:
    with contextlib.closing(read_only(place.folder / "state" / "outbox.db")) as outbox:
        waiting = {name: json.loads(text) for name, text in outbox.execute(_RESULTS)}
        dropped = outbox.execute("SELECT COALESCE(SUM(count), 0) FROM drops").fetchone()[0]
    decided = {decision["result_id"] for _, decision in box.decisions}
    claimed = [Path(each["evidence"]) for each in waiting.values() if each["evidence"]]
    numbers = sorted(each["seq"] for each in waiting.values())

    def figure(what: str, value: int, limit: int | None = None, *, at_least: bool = False) -> Figure:
        return Figure(fault=_FAULT, what=what, value=value, limit=limit, at_least=at_least)

    return [
        figure("steps of the clock", steps),
        figure("parts decided", len(decided), steps, at_least=True),
        figure("decided, and no result waits", len(decided - set(waiting)), 0),
        figure("numbers missing between results", numbers[-1] - numbers[0] + 1 - len(numbers), 0),
        figure("results given up", dropped, 0),
        figure("parts with evidence", len(claimed), steps, at_least=True),
        figure("of these, evidence gone", sum(not folder.is_dir() for folder in claimed), 0),
        figure("the jump was not told", not told, 0),
    ]


_RESULTS = "SELECT result_id, payload FROM results WHERE verdict != 'DROPPED'"


def _library(folder: Path) -> Path:
    """The preloaded library, compiled here."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise NotPossibleError("no C compiler here; install it: sudo apt-get install gcc libc6-dev")
    library = folder / "wall_clock.so"
    source = Path(__file__).with_name("wall_clock.c")
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    return library
