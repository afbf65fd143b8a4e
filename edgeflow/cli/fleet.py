"""``edgeflow fleet``: publishes bundles for groups of boxes, and follows them at a box."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.console import Console

from edgeflow.cli.fleet_tables import print_boxes, print_releases, status_line
from edgeflow.cli.options import FILE, FiniteRange, box_overrides, json_option, passphrase_option
from edgeflow.cli.terminal.output import print_json
from edgeflow.clock import utc_now
from edgeflow.contracts.message_parts.fleet_status import FleetStatus
from edgeflow.errors import UsageError
from edgeflow.fleet.rollout import Bounds, Group, Release
from edgeflow.log_output import use_format
from edgeflow.mqtt.broker.login import Login, parse_url
from edgeflow.security.keys import read_passphrase

if TYPE_CHECKING:
    from edgeflow.fleet.follow import Follower
    from edgeflow.fleet.metadata import Keys
    from edgeflow.fleet.repository import FleetRepository

__all__ = ["fleet"]

F = TypeVar("F", bound=Callable[..., Any])
_TOPIC = "edgeflow/v1/+/+/+/fleet"
_NICENESS = 19
"""Of a box's agent: what it does may take as long as it likes, a part may not."""


def _with_keys(command: F) -> F:
    keys = click.option("--keys", type=FILE, required=True, help="Folder of private keys.")
    return keys(passphrase_option(command))


def _with_broker(command: F) -> F:
    for option in reversed(
        (
            click.option(
                "--broker", metavar="URL", help="Broker that boxes report to, such as mqtt://host:1883."
            ),
            click.option("--topic", default=_TOPIC, show_default=True, help="Topics of their reports."),
            click.option("--username", help="The broker's user; default: the one in the URL."),
            click.option("--password-file", type=FILE, help="The password; or set EDGEFLOW_MQTT_PASSWORD."),
            click.option("--ca", type=FILE, help="Certificate authority of the broker."),
            click.option("--cert", type=FILE, help="The client's certificate, with --key."),
            click.option("--key", type=FILE, help="The certificate's private key."),
        )
    ):
        command = option(command)
    return command


_SHARE = FiniteRange(0, 1)
_BOUNDS = (
    ("--parts", "parts", click.IntRange(min=1), 200, "First parts that are watched."),
    (
        "--prove",
        "prove_parts",
        click.IntRange(min=0),
        100,
        "Parts in the shadow before it is taken; 0: none.",
    ),
    ("--undecided", "undecided_share", _SHARE, 0.05, "Share of the parts."),
    ("--disagreement", "disagreement_share", _SHARE, 0.1, "Share of the parts that both bundles judge."),
    ("--ng", "ng_share", _SHARE, 0.2, "Share above the bundle before; more pauses."),
    ("--failures", "failures", click.IntRange(min=1), 3, "Parts that could not be scored."),
)


def _with_bounds(command: F) -> F:
    for name, field, kind, default, text in reversed(_BOUNDS):
        command = click.option(name, field, type=kind, default=default, show_default=True, help=text)(command)
    return command


@click.group()
def fleet() -> None:
    """Publish bundles for groups of boxes in a repository of static files, and follow it at a box."""


@fleet.command()
@click.argument("repository", type=FILE)
@click.option("--keys", type=FILE, required=True, help="Folder for the new private keys; keep it offline.")
@click.option(
    "--group", "groups", multiple=True, required=True, metavar="NAME[:BOXES]",
    help="A group, in the order of promotion; so many boxes have to report success before the next.",
)  # fmt: skip
@passphrase_option
@json_option
def init(
    repository: Path, *, keys: Path, groups: tuple[str, ...], passphrase_file: Path | None, json_output: bool
) -> None:
    """Make REPOSITORY, a folder for any web server, and the keys of its four roles."""
    made = _repository(repository)
    try:
        keys.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise UsageError(f"{keys}: cannot be made: {cause.strerror}") from cause
    made.create(_keys(keys, passphrase_file), [_group(text) for text in groups])
    root = repository / "metadata" / "root.json"
    if json_output:
        print_json({"repository": str(repository), "root": str(root), "keys": str(keys)})
        return
    click.echo(f"{repository}: made for the groups {', '.join(groups)}")
    click.echo(f"{root}: goes to every box, as fleet.root")
    click.echo(f"{keys}: whoever has these files decides what boxes run; two of the three root-*.key.pem")
    click.echo("  change all other keys. Keep them apart and offline; see docs/how-to/fleet.md")


@fleet.command()
@click.argument("repository", type=FILE)
@click.argument("bundle", type=FILE)
@_with_bounds
@_with_keys
@json_option
def publish(
    repository: Path,
    bundle: Path,
    *,
    keys: Path,
    passphrase_file: Path | None,
    json_output: bool,
    **bounds: Any,
) -> None:
    """Add BUNDLE to REPOSITORY as a release of its first group, with bounds that roll it back."""
    release = _repository(repository).publish(bundle, Bounds(**bounds), _keys(keys, passphrase_file))
    _say(release, f"published for group '{release.groups[0]}'; upload {repository}", json_output=json_output)


@fleet.command("publish-box")
@click.argument("repository", type=FILE)
@click.argument("boxes", type=FILE, nargs=-1, required=True, metavar="BOX...")
@click.option(
    "--parts", type=click.IntRange(min=1), default=50, show_default=True,
    help="First parts under the new file that are watched.",
)  # fmt: skip
@click.option(
    "--undecided", type=click.IntRange(min=0), default=5, show_default=True,
    help="So many of them may be UNDECIDED; more is the way back.",
)  # fmt: skip
@click.option(
    "--wait", "wait_s", type=click.IntRange(min=1), default=300, show_default=True, metavar="S",
    help="The box has to inspect again within so many seconds.",
)  # fmt: skip
@_with_keys
@json_option
def publish_box(
    repository: Path,
    boxes: tuple[Path, ...],
    *,
    keys: Path,
    passphrase_file: Path | None,
    json_output: bool,
    **bounds: Any,
) -> None:
    """Give each station its box file: BOX... are whole files, each for the station that it names."""
    found = _repository(repository).publish_boxes(boxes, bounds, _keys(keys, passphrase_file))
    if json_output:
        print_json([one.model_dump(mode="json") for one in found])
        return
    for one in found:
        click.echo(f"{one.id}: for {one.station}")
    click.echo(f"upload {repository}; 'edgeflow fleet status' shows what the stations make of it")


@fleet.command()
@click.argument("repository", type=FILE)
@click.argument("release")
@click.option("--to", "group", required=True, metavar="GROUP", help="The group that gets it now.")
@click.option("--although-paused", is_flag=True, help="Boxes that paused for NG parts count as success.")
@click.option(
    "--accept-unproven", metavar="REASON", default="",
    help="Although no box has compared it in the shadow; the reason is kept with the release.",
)  # fmt: skip
@_with_broker
@_with_keys
@json_option
def promote(
    repository: Path,
    release: str,
    *,
    group: str,
    although_paused: bool,
    accept_unproven: str,
    keys: Path,
    passphrase_file: Path | None,
    json_output: bool,
    **broker: Any,
) -> None:
    """Give RELEASE of REPOSITORY to the next group, once the groups before have proven it and report success.

    Proven: a box of each group before has compared it with its other bundle in the shadow.
    """
    statuses = _statuses(repository, **broker)
    found = _repository(repository).promote(
        release,
        group,
        statuses,
        _keys(keys, passphrase_file),
        although_paused=although_paused,
        although_unproven=accept_unproven,
    )
    _say(found, f"given to group '{group}'; upload {repository}", json_output=json_output)


@fleet.command()
@click.argument("repository", type=FILE)
@click.argument("release")
@_with_keys
@json_option
def revoke(
    repository: Path, release: str, *, keys: Path, passphrase_file: Path | None, json_output: bool
) -> None:
    """Take RELEASE back from all groups: boxes that run it go back to the bundle before."""
    found = _repository(repository).revoke(release, _keys(keys, passphrase_file))
    _say(found, f"revoked; upload {repository}", json_output=json_output)


@fleet.command()
@click.argument("repository", type=FILE)
@_with_broker
@json_option
def status(repository: Path, *, json_output: bool, **broker: Any) -> None:
    """Show the releases of REPOSITORY, what its boxes report, and when its metadata expires."""
    opened = _repository(repository)
    rollout, expiry = opened.rollout(), opened.expiry()
    statuses = _statuses(repository, **broker)
    if json_output:
        print_json(
            {
                "releases": [one.model_dump(mode="json") for one in rollout.releases],
                "groups": [one.model_dump(mode="json") for one in rollout.groups],
                "boxes": [one.model_dump(mode="json", by_alias=True) for one in statuses],
                "expires": {role: end.isoformat() for role, end in expiry.items()},
            }
        )
        return
    console = Console(highlight=False, markup=False)
    print_releases(console, rollout.releases, [one.name for one in rollout.groups])
    print_boxes(console, statuses)
    for role, end in expiry.items():
        days = (end - utc_now().astimezone(UTC)).days
        over = " – renew it with 'edgeflow fleet refresh'" if days < 3 else ""
        console.print(f"{role} expires {end:%Y-%m-%d} ({days} days){over}", soft_wrap=True)


@fleet.command()
@click.argument("repository", type=FILE)
@click.option("--root", is_flag=True, help="Renew the root, too; needs two of its keys.")
@_with_keys
@json_option
def refresh(
    repository: Path, *, root: bool, keys: Path, passphrase_file: Path | None, json_output: bool
) -> None:
    """Renew what expires, so that boxes know that REPOSITORY does not stand still; for a timer."""
    expiry = _repository(repository).refresh(_keys(keys, passphrase_file), root=root)
    if json_output:
        print_json({role: end.isoformat() for role, end in expiry.items()})
    else:
        click.echo("; ".join(f"{role} expires {end:%Y-%m-%d}" for role, end in expiry.items()))


@fleet.command()
@click.argument("repository", type=FILE)
@click.argument("role", type=click.Choice(["root", "targets", "snapshot", "timestamp"]))
@click.option("--lost", metavar="ID", help="The root key to replace, by the beginning of its id.")
@_with_keys
@json_option
def rotate(
    repository: Path,
    role: str,
    *,
    lost: str | None,
    keys: Path,
    passphrase_file: Path | None,
    json_output: bool,
) -> None:
    """Replace a key of ROLE by a new one, which two root keys sign; boxes follow by themselves."""
    _repository(repository).rotate(role, _keys(keys, passphrase_file), lost=lost)
    if json_output:
        print_json({"role": role, "keys": str(keys)})
    else:
        click.echo(f"{role}: has a new key in {keys}; upload {repository}, and destroy the old one")


@fleet.command()
@click.argument("box", type=FILE)
@click.option("--once", is_flag=True, help="Look once, take the steps that are due, and end.")
@box_overrides
@json_option
def follow(box: Path, *, once: bool, overrides: tuple[str, ...], json_output: bool) -> None:
    """Follow the repository of BOX's file until SIGTERM: download, verify, prove, switch, watch, report."""
    follower_type = _follower()
    os.nice(_NICENESS)

    def tell(found: FleetStatus) -> None:
        if json_output:
            print_json(found.model_dump(mode="json", by_alias=True))
        else:
            click.echo(status_line(found))

    end = threading.Event()
    follower = follower_type(path=box, overrides=overrides, tell=tell, end=end)
    use_format(follower.config.log.format)
    logging.getLogger("edgeflow").setLevel(logging.INFO)
    if once:
        follower.look()
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    while not end.is_set():
        follower.look()
        end.wait(follower.pause_s)


def _say(release: Release, text: str, *, json_output: bool) -> None:
    if json_output:
        print_json(release.model_dump(mode="json"))
    else:
        click.echo(f"{release.id}: {text}")


def _group(text: str) -> Group:
    name, _, boxes = text.partition(":")
    with suppress(ValueError):
        return Group(name=name, boxes=int(boxes or 1))
    raise UsageError(f"--group {text}: write NAME or NAME:BOXES, such as canary:2")


def _statuses(repository: Path, *, broker: str | None, topic: str, **login: Any) -> list[FleetStatus]:
    from edgeflow.fleet.statuses import FOLDER, collect, merged, read_folder  # noqa: PLC0415

    reported = collect(Login(url=parse_url(broker), **login), topic) if broker is not None else []
    return merged(reported, read_folder(repository / FOLDER))


def _repository(path: Path) -> FleetRepository:
    try:
        from edgeflow.fleet.repository import FleetRepository  # noqa: PLC0415
    except ImportError as cause:
        raise _missing() from cause
    return FleetRepository(path=path, now=utc_now())


def _keys(folder: Path, passphrase_file: Path | None) -> Keys:
    from edgeflow.fleet.metadata import Keys  # noqa: PLC0415

    return Keys(folder, read_passphrase(passphrase_file))


def _follower() -> type[Follower]:
    try:
        from edgeflow.fleet.follow import Follower  # noqa: PLC0415
    except ImportError as cause:
        raise _missing() from cause
    return Follower


def _missing() -> UsageError:
    return UsageError("a fleet needs more packages: pip install 'edgeflow[fleet]'")
