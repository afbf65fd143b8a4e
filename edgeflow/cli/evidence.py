"""``edgeflow evidence``: lists the parts whose images a box has kept, and shows one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import click

from edgeflow.cli.options import FILE, json_option
from edgeflow.cli.output import print_json
from edgeflow.config.box import load_config
from edgeflow.contracts.messages import Result
from edgeflow.errors import ConfigError, DataError
from edgeflow.evidence.overview import (
    JOIN_THE_GROUP,
    StoredPart,
    closed_folders,
    stored_parts,
    write_overview,
)

__all__ = ["evidence"]


@click.group()
def evidence() -> None:
    """Look at the parts whose images a box has kept; also while it runs."""


@evidence.command("list")
@click.argument("box", type=FILE)
@click.option("--verdict", type=click.Choice(["OK", "NG", "UNDECIDED"]), help="Only these.")
@click.option("-n", "--count", type=click.IntRange(min=1), default=20, show_default=True, help="The latest.")
@json_option
def list_(box: Path, verdict: str | None, count: int, json_output: bool) -> None:
    """Say which parts BOX has kept, the latest first."""
    found = list(islice((one for one in _stored_parts(box) if verdict in (None, one.result.verdict)), count))
    for one in found:
        result = one.result
        if json_output:
            print_json({"folder": str(one.folder), "bytes": one.size, **_brief(result)})
            continue
        score = "  –  " if result.score is None else f"{result.score:5.2f}"
        click.echo(
            f"{result.decided_at[:19]}Z  {result.verdict:9} {score}  {result.part_id}  {result.reason}"
        )
    if not found and not json_output:
        click.echo("no part was kept")


@evidence.command()
@click.argument("part")
@click.argument("box", type=FILE)
@click.option("-o", "--output", type=FILE, metavar="PNG", help="Write all its views with their heat there.")
@json_option
def show(part: str, box: Path, output: Path | None, json_output: bool) -> None:
    """Say why PART (its part id or result id) got its verdict, and where its images lie."""
    found = next(
        (one for one in _stored_parts(box) if part in (one.result.part_id, one.result.result_id)), None
    )
    if found is None:
        raise DataError(f"part {part}: not kept here; 'edgeflow evidence list {box}' says which parts are")
    files = sorted(file for file in found.folder.iterdir() if file.name != "result.json")
    if output is not None:
        write_overview(found, output)
    if json_output:
        record = found.result.model_dump(mode="json", by_alias=True)
        print_json({"folder": str(found.folder), "files": [file.name for file in files], "result": record})
        return
    result = found.result
    click.echo(f"{result.part_id}: {result.verdict} {result.reason}".rstrip())
    click.echo(f"decided {result.decided_at} by {result.bundle.name} {result.bundle.precision}")
    for view in result.views:
        score = "not scored" if view.score is None else f"score {view.score:.3f}"
        click.echo(f"  {view.id}: {score}, {len(view.regions)} regions over the threshold")
    click.echo(f"{found.folder}: {', '.join(file.name for file in files)}")


def _stored_parts(box: Path) -> Iterator[StoredPart]:
    """Read everything that is kept, newest first; say which folders this user may not look into.

    Raises:
        ConfigError: the box file, or it keeps no evidence.
        StorageError: the evidence is another user's.
    """
    config = load_config(box).evidence
    if config is None:
        raise ConfigError(f"{box}: keeps no evidence; give it a section 'evidence'")
    closed = closed_folders(config.dir)
    if closed:
        text = f"{len(closed)} folders such as {closed[0]} are closed to this user; {JOIN_THE_GROUP}"
        click.echo(f"note: {text}", err=True)
    yield from stored_parts(config.dir)


def _brief(result: Result) -> dict[str, object]:
    names = ("result_id", "part_id", "verdict", "reason", "score", "decided_at")
    return {name: getattr(result, name) for name in names}
