"""``edgeflow ctl``: a running box, commanded from its own computer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, get_args

import click

from edgeflow.cli.options import FILE, json_option
from edgeflow.cli.terminal.output import print_json
from edgeflow.commands.audit_log import read_audit
from edgeflow.commands.control_socket import ask
from edgeflow.commands.service import refused_path
from edgeflow.config.box import load_config
from edgeflow.contracts.commands import Verb
from edgeflow.errors import UsageError

__all__ = ["ctl"]

_LAST = 50


@click.command()
@click.argument("box", type=FILE)
@click.argument("verb", type=click.Choice([*get_args(Verb), "restart", "status", "audit"]))
@click.argument("arguments", nargs=-1, metavar="[KEY=VALUE]...")
@json_option
def ctl(box: Path, verb: str, arguments: tuple[str, ...], json_output: bool) -> None:
    """Command the running box that BOX (its YAML file) describes; needs no broker.

    start, stop: whether parts are inspected.  reset: clear alarms.  snapshot: keep the next part's images.
    reload [bundle=NAME]: another bundle, once it is verified.  rollback: the one before.
    product NAME: of the parts to come, on a box with products; reload and rollback then take product=NAME.
    restart: begin anew with the box file as it is now.  status: what runs.  audit: who commanded what.
    """
    config = load_config(box)
    if verb == "audit":
        _show_audit(config.audit_path, json_output=json_output)
        return
    answer = ask(config.control_socket, verb, _named(verb, arguments))
    if json_output:
        print_json(answer.get("status") or answer["reply"])
    elif "status" in answer:
        _show_status(answer["status"])
    else:
        click.echo(f"{verb}: {answer['reply']['outcome']}: {answer['reply']['text']}")
    if answer["exit_code"]:
        sys.exit(answer["exit_code"])


def _named(verb: str, arguments: tuple[str, ...]) -> dict[str, str]:
    """Arguments by their names; a product may be given by its name alone."""
    if verb == "product" and len(arguments) == 1 and not arguments[0].startswith("name="):
        return {"name": arguments[0]}
    return dict(_pair(text) for text in arguments)


def _pair(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise UsageError(f"{text!r}: write arguments as KEY=VALUE, such as bundle=disc-3.bundle")
    return key, value


def _show_status(status: dict[str, Any]) -> None:
    bundle = status["bundle"]
    click.echo(f"{status['state']}, session {status['session']}")
    graph = f", {bundle['graph']}" if "graph" in bundle else ""  # an older box does not say it
    click.echo(f"bundle {bundle['name']} version {bundle['version']} ({bundle['sha256'][:16]}){graph}")
    for product in status.get("products", ()):
        click.echo(_product_line(product, chosen=product["name"] == status["product"]))
    click.echo(f"broker: {status['broker']}; {status['results_waiting']} results wait in the outbox")
    for refusal in status["broker_refuses"]:
        click.echo(f"broker: {refusal}")
    if status["results_set_aside"]:
        count = status["results_set_aside"]
        click.echo(f"outbox: {count} results are set aside; see 'edgeflow outbox aside'")
    untold = status["decisions_unsent"] + status["decisions_refused"]
    if untold:
        click.echo(f"gate: {untold} decisions did not reach the broker's subscribers")
    for alarm in status["alarms"]:
        click.echo(f"alarm {alarm['code']} {alarm['subject']} since {alarm['since']}: {alarm['text']}")


def _product_line(product: dict[str, Any], *, chosen: bool) -> str:
    if product["problem"]:
        return f"product {product['name']}: {product['problem']}"
    how = f"loaded, {product['memory_mb']:.0f} MB" if product["loaded"] else "verified, not loaded"
    now = ", chosen" if chosen else ""
    return f"product {product['name']}: {product['bundle']} version {product['version']}, {how}{now}"


def _show_audit(path: Path, *, json_output: bool) -> None:
    records = read_audit(path, _LAST) + read_audit(refused_path(path), _LAST)
    for record in sorted(records, key=lambda record: str(record.get("at", ""))):
        if json_output:
            print_json(record)
            continue
        who = record.get("issuer") or record.get("source", "?")
        verb = record.get("verb") or record.get("topic", "?")
        click.echo(f"{record.get('at')}  {record.get('outcome'):8}  {who!r}  {verb!r}  {record.get('text')}")
