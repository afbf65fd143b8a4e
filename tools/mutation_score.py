"""Mutation score: how many small errors, put into the code one at a time, its nearest tests notice.

make mutants                                 (or: python tools/mutation_score.py matching --sample 100)

mutmut makes the mutants and runs the tests. Each package has a copy of the tree below ``runs/mutants`` that
is kept, so that a second run only looks at what changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

REPOSITORY = Path(__file__).resolve().parent.parent
WORK = REPOSITORY / "runs" / "mutants"
NOT_BEHAVIOUR = (r"logger\.\w+\(", r"^\s*f?\"", r"TypeVar\(", r"raise \w+\(")
SURVIVED, WITHOUT_TESTS = 0, (5, 33)


@dataclass(frozen=True, kw_only=True)
class Package:
    """Modules that belong together, and the tests nearest to them (paths, with ``*``)."""

    sources: tuple[str, ...]
    tests: tuple[str, ...]


PACKAGES = {
    "decision": Package(
        sources=("decision/*.py", "station/line.py"),
        tests=("edgeflow/decision/test_*.py", "edgeflow/station/test_line.py"),
    ),
    "capture": Package(
        sources=("capture/*.py", "capture/trigger_messages/*.py", "rate_limit.py"),
        tests=(
            "edgeflow/capture/test_*.py",
            "edgeflow/capture/trigger_messages/test_*.py",
            "edgeflow/test_rate_limit.py",
        ),
    ),
    "matching": Package(
        sources=(
            "capture/matching/*.py",
            "capture/synchronizer.py",
            "cameras/genicam/trigger_pairing.py",
            "cameras/genicam/device_clock.py",
        ),
        tests=(
            "edgeflow/capture/matching/test_*.py",
            "edgeflow/capture/test_synchronizer.py",
            "edgeflow/capture/test_trigger_worlds.py",
            "edgeflow/cameras/genicam/test_trigger_pairing.py",
            "edgeflow/cameras/genicam/test_device_clock.py",
        ),
    ),
    "delivery": Package(
        sources=("delivery/*.py",),
        tests=("edgeflow/delivery/test_*.py", "system/box/test_delivery.py"),
    ),
    "outbox": Package(
        sources=("delivery/store/*.py", "run_time.py"),
        tests=(
            "edgeflow/delivery/test_outbox.py",
            "edgeflow/delivery/store/test_*.py",
            "edgeflow/test_run_time.py",
        ),
    ),
    "evidence": Package(sources=("evidence/*.py",), tests=("edgeflow/evidence/test_*.py",)),
    "bundle": Package(sources=("bundles/*.py",), tests=("edgeflow/bundles/test_*.py",)),
    "mqtt": Package(
        sources=("mqtt/*.py", "mqtt/broker/*.py"),
        tests=("edgeflow/mqtt/test_*.py", "edgeflow/mqtt/broker/test_*.py", "system/box/test_mqtt.py"),
    ),
}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(sorted(PACKAGES)))
@click.option("--sample", default=120, show_default=True, help="Mutants per package, spread evenly; 0: all.")
@click.option("--processes", default=2, show_default=True)
@click.option("--survivors", is_flag=True, help="Show each surviving mutant as a difference.")
def main(names: tuple[str, ...], sample: int, processes: int, survivors: bool) -> None:
    """Mutate the packages NAMES (all by default) and print the share of mutants that tests notice."""
    print(f"{'package':<12} {'mutants':>8} {'tried':>6} {'noticed':>8} {'survived':>9} {'no test':>8}  score")
    for name in names or sorted(PACKAGES):
        folder = WORK / name
        prepare(folder, PACKAGES[name])
        _mutmut(folder, processes, "no such mutant")  # makes the mutants, and learns which tests reach them
        everything = sorted(_outcomes(folder))
        chosen = sampled(everything, sample)
        done = _mutmut(folder, processes, *chosen)
        tried = {key: code for key, code in _outcomes(folder).items() if key in chosen and code is not None}
        if not tried:
            raise click.ClickException(
                f"{name}: mutmut tried nothing:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
            )
        print(row(name, len(everything), Counter(tried.values())), flush=True)
        alive = sorted(key for key, code in tried.items() if code == SURVIVED)
        if survivors:
            for key in alive:
                print(_mutmut(folder, processes, key, command="show").stdout)
        (folder / "survivors.txt").write_text("".join(f"{key}\n" for key in alive), "utf-8")


def sampled(keys: Sequence[str], sample: int) -> tuple[str, ...]:
    """At most ``sample`` of the keys; the choice follows from their names alone."""
    ranked = sorted(keys, key=lambda key: hashlib.sha256(key.encode()).digest())
    return tuple(sorted(ranked[:sample] if sample else ranked))


def row(name: str, mutants: int, codes: Counter[int]) -> str:
    """One line of the table; mutants that no test reaches count as not noticed."""
    tried, survived = codes.total(), codes[SURVIVED]
    untested = sum(codes[code] for code in WITHOUT_TESTS)
    noticed = tried - survived - untested
    share = noticed / tried
    return f"{name:<12} {mutants:>8} {tried:>6} {noticed:>8} {survived:>9} {untested:>8}  {share:.1%}"


def prepare(folder: Path, package: Package) -> None:
    """Bring the package's copy of the tree up to date; unchanged files keep their times."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for file in listed.stdout.splitlines():
        source, target = REPOSITORY / file, folder / file
        if not source.is_file():
            continue
        if not target.exists() or target.read_bytes() != source.read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    shared = REPOSITORY.parent / "shared"  # inputs that some tests need; they skip without
    for place in (folder.parent / "shared", folder / "shared"):
        if shared.is_dir() and not place.is_symlink():
            place.symlink_to(shared)
    tests = sorted(
        str(file.relative_to(folder))
        for pattern in package.tests
        for file in (folder / "tests").glob(pattern)
    )
    sources = sorted(
        str(file.relative_to(folder))
        for pattern in package.sources
        for file in (folder / "edgeflow").glob(pattern)
    )
    also = ["tests", "tools", "export", "firmware_configs", "docs", "README.md", "Makefile"]
    settings = {
        "source_paths": ["edgeflow"],
        "only_mutate": sources,  # by name: a pattern's * would reach into folders, which are other packages
        "do_not_mutate_patterns": list(NOT_BEHAVIOUR),
        "pytest_add_cli_args": ["-p", "no:cacheprovider", "--timeout=120"],
        "pytest_add_cli_args_test_selection": tests,
        "also_copy": [name for name in also if (folder / name).exists()],
        "process_isolation": "forkserver",
        # mutmut times the tests alone, but a mutant pays for the fixtures too: training the tiny product.
        "timeout_constant": 10.0,
        "timeout_multiplier": 6.0,
    }
    text = (REPOSITORY / "pyproject.toml").read_text("utf-8") + "\n[tool.mutmut]\n"
    text += "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
    (folder / "pyproject.toml").write_text(text, "utf-8")


def _mutmut(
    folder: Path, processes: int, *keys: str, command: str = "run"
) -> subprocess.CompletedProcess[str]:
    options = ["--max-children", str(processes)] if command == "run" else []
    # Hypothesis then draws the same examples for every mutant, and a slow computer breaks no deadline.
    environment = os.environ | {"CI": "true"}
    return subprocess.run(
        [sys.executable, "-m", "mutmut", command, *options, *keys],
        cwd=folder, capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip


def _outcomes(folder: Path) -> dict[str, int | None]:
    """Every mutant and how its tests ended, None where they have not run."""
    found: dict[str, int | None] = {}
    for meta in (folder / "mutants").rglob("*.meta"):
        found |= json.loads(meta.read_text("utf-8"))["exit_code_by_key"]
    return found


if __name__ == "__main__":
    main()
