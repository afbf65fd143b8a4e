"""``edgeflow evidence``: the parts whose images a box has kept: listed, shown, labelled and exported."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import click

from edgeflow.cli.evidence_upload import upload
from edgeflow.cli.options import FILE, json_option
from edgeflow.cli.terminal.output import print_json
from edgeflow.commands.audit_log import Audit, change_record, local_source
from edgeflow.config.box import load_config
from edgeflow.contracts.messages import Result
from edgeflow.errors import ConfigError, DataError, UsageError
from edgeflow.evidence.overview import (
    JOIN_THE_GROUP,
    StoredPart,
    closed_folders,
    stored_parts,
    write_overview,
)
from edgeflow.evidence.record import read_record
from edgeflow.history.labelled_export import export_labelled
from edgeflow.history.labelling import label_part
from edgeflow.history.labels import find_part, import_result
from edgeflow.history.reader import HistoryReader
from edgeflow.history.records import HistoryEntry

__all__ = ["evidence"]


@click.group()
def evidence() -> None:
    """Look at the parts whose images a box has kept, and label them; also while it runs."""


evidence.add_command(upload)


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
    product = f"product {result.product}, " if result.product is not None else ""
    click.echo(f"{product}decided {result.decided_at} by {result.bundle.name} {result.bundle.precision}")
    for view in result.views:
        score = "not scored" if view.score is None else f"score {view.score:.3f}"
        click.echo(f"  {view.id}: {score}, {len(view.regions)} regions over the threshold")
    click.echo(f"{found.folder}: {', '.join(file.name for file in files)}")


@evidence.command()
@click.argument("box", type=FILE)
@click.argument("part")
@click.option("--ok", "name", flag_value="OK", help="The part is good.")
@click.option("--ng", "name", flag_value="NG", help="The part is defective.")
@click.option("--kind", help="Kind of defect, such as scratch; with --ng.")
@click.option(
    "--region",
    "regions",
    multiple=True,
    metavar="VIEW:X,Y,W,H",
    help="Where the defect is, in pixels of the camera's image; with --ng, as often as wanted.",
)
@click.option("--by", help="Who says so; default: this user.")
@json_option
def label(
    box: Path,
    part: str,
    *,
    name: str | None,
    kind: str | None,
    regions: tuple[str, ...],
    by: str | None,
    json_output: bool,
) -> None:
    """Record that PART (its part id or result id) of BOX is good or defective; the last label counts.

    All labels are kept, in the history and in the record of commands; also of parts without images.
    """
    if name is None:
        raise UsageError("evidence label: give --ok or --ng")
    config = load_config(box)
    boxes = [_region(text) for text in regions]
    _take_into_history(box, part)
    by = by or getpass.getuser()
    given = label_part(config.history_path, part, name, kind=kind, regions=boxes, by=by, source="cli")
    audit = Audit(config.audit_path, round(config.commands.audit_max_mb * 1e6))
    drawn = {"regions": " ".join(regions)} if regions else {}
    arguments = {
        "part": part,
        "label": name,
        **({"kind": kind} if kind else {}),
        **drawn,
        "by": given.label.by,
    }
    audit.write(change_record("label", arguments, given.sentence, source=local_source()))
    if json_output:
        print_json(given.label.model_dump(mode="json", by_alias=True))
    else:
        click.echo(given.sentence)


@evidence.command()
@click.argument("box", type=FILE)
@click.option("--labelled", is_flag=True, help="Parts with a label, and OK parts that were kept as a sample.")
@click.option(
    "-o", "--output", type=FILE, required=True, metavar="DIR", help="A folder that is not there yet."
)
@json_option
def export(box: Path, *, labelled: bool, output: Path, json_output: bool) -> None:
    """Copy parts of BOX with their labels into a data set, with the scores of all parts they were kept from.

    Parts labelled OK go to good/, defective ones to a folder named after their kind, unlabelled OK parts to
    unlabelled/. Unlabelled NG and UNDECIDED parts are never copied.
    """
    if not labelled:
        raise UsageError("evidence export: give --labelled; there is nothing else that may be exported")
    config = load_config(box)
    with HistoryReader(config.history_path) as reader:
        done = export_labelled(reader, output)
    if json_output:
        print_json({"path": str(output), "parts": dict(done.parts), "without_images": done.without_images})
        return
    for folder, count in done.parts.items():
        click.echo(f"{output / folder}: {count} parts")
    if done.without_images:
        click.echo(f"{done.without_images} labelled parts have no images any more, and count by their scores")


def _region(text: str) -> dict[str, object]:
    """Read ``VIEW:X,Y,W,H``; a view's name may hold a colon.

    Raises:
        UsageError: it is something else.
    """
    view, _, numbers = text.rpartition(":")
    try:
        x, y, width, height = map(int, numbers.split(","))
    except ValueError:
        raise UsageError(f"--region {text}: expected VIEW:X,Y,W,H, such as C1:120,40,32,18") from None
    return {"view": view, "x": x, "y": y, "width": width, "height": height}


def _take_into_history(box: Path, part: str) -> None:
    """Record a kept part that was inspected before there was a history, so that it can be labelled."""
    config = load_config(box)
    path = config.history_path
    if config.evidence is None or (path.exists() and find_part(path, part) is not None):
        return
    found = next(
        (one for one in _stored_parts(box) if part in (one.result.part_id, one.result.result_id)), None
    )
    if found is None:
        return
    record = read_record(found.folder)
    result = found.result.model_copy(update={"evidence": str(found.folder)})
    import_result(
        path,
        HistoryEntry(
            result=result,
            bundle_version=0,
            has_foreground=True,
            kept=record.kept if record is not None else None,
        ),
    )


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
