"""``edgeflow evidence upload``: the kept parts to a store with the S3 interface."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import click

from edgeflow.cli.options import FILE, box_overrides, json_option
from edgeflow.cli.terminal.output import print_json
from edgeflow.config.box import load_config
from edgeflow.errors import ConfigError, UsageError
from edgeflow.evidence.upload import EvidenceUpload, Pace, UploadCount
from edgeflow.evidence.upload_state import UploadState
from edgeflow.log_output import use_format

__all__ = ["upload"]

_EVERY_S = 10.0
_NICENESS = 10


@click.command()
@click.argument("box", type=FILE)
@click.option("--once", is_flag=True, help="Upload what is not there yet, and end.")
@box_overrides
@json_option
def upload(box: Path, *, once: bool, overrides: tuple[str, ...], json_output: bool) -> None:
    """Upload the parts that BOX has kept to the store of evidence.upload, beside the running box.

    Each file goes once; a part is whole in the store where its evidence.json is. Nothing is deleted.
    """
    config = load_config(box, overrides)
    if config.evidence is None or config.evidence.upload is None:
        raise ConfigError(f"{box}: it names no store; give evidence.upload with a bucket")
    try:
        from edgeflow.evidence.s3 import S3Store  # noqa: PLC0415 - an extra
    except ImportError as cause:
        raise UsageError("uploads need more packages: pip install 'edgeflow[upload]'") from cause
    use_format(config.log.format)
    os.nice(_NICENESS)
    target = config.evidence.upload
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    state = UploadState(
        config.outbox.path.with_name("uploads.db"), f"{target.endpoint or ''} {target.bucket}"
    )
    station = config.station
    running = EvidenceUpload(
        config.evidence.dir,
        S3Store(target),
        state,
        prefix=target.prefix or f"edgeflow/{station.site}/{station.line}/{station.station}",
        pace=Pace(target.max_mbit_s * 125_000),
        wait=stop.wait,
    )

    def report(count: UploadCount) -> None:
        if json_output:
            print_json(vars(count))
        else:
            megabytes = count.bytes / 1e6
            click.echo(f"{count.parts:,} parts uploaded: {count.files:,} files, {megabytes:,.1f} MB")

    try:
        if once:
            report(running.once())
        else:
            running.run(_EVERY_S, report)
    finally:
        state.close()
