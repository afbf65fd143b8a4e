"""``edgeflow keys``: makes keys and certificates, signs bundles, and verifies who signed one."""

from __future__ import annotations

from pathlib import Path

import click

from edgeflow.bundles.bundle import Bundle
from edgeflow.bundles.signing import sign_bundle
from edgeflow.bundles.trust import check_expiry
from edgeflow.cli.options import FILE, json_option, passphrase_option
from edgeflow.cli.terminal.output import print_json
from edgeflow.clock import utc_now
from edgeflow.contracts.signature import key_id
from edgeflow.errors import UsageError
from edgeflow.security.certificates import open_authority
from edgeflow.security.keys import new_key, read_passphrase, read_private_key, read_public_key, trusted_keys

__all__ = ["keys"]


@click.group()
def keys() -> None:
    """Make keys and certificates, sign bundles, and verify who signed a bundle."""


@keys.command()
@click.argument("name", type=FILE)
@passphrase_option
@json_option
def new(name: Path, *, passphrase_file: Path | None, json_output: bool) -> None:
    """Make a key pair: NAME.key.pem signs, NAME.pub.pem goes to the boxes."""
    passphrase = read_passphrase(passphrase_file)
    pair = new_key(name, passphrase)
    if json_output:
        print_json({"key_id": pair.id, "private": str(pair.private), "public": str(pair.public)})
        return
    protected = "encrypted" if passphrase else "not encrypted: whoever reads it can sign"
    click.echo(f"key {pair.id}")
    click.echo(f"{pair.private}  signs; stays on the workstation ({protected})")
    click.echo(f"{pair.public}  proves; goes to the boxes, under trust.keys")


@keys.command()
@click.argument("file", type=FILE)
@passphrase_option
@json_option
def show(file: Path, *, passphrase_file: Path | None, json_output: bool) -> None:
    """Say which key FILE holds, and whether it is the public or the private half."""
    try:
        kind, key = "public", read_public_key(file)
    except UsageError:
        kind, key = "private", read_private_key(file, read_passphrase(passphrase_file)).public_key()
    if json_output:
        print_json({"key_id": key_id(key), "kind": kind, "file": str(file)})
    else:
        click.echo(f"{file}: {kind} key {key_id(key)}")


@keys.command()
@click.argument("bundle", type=FILE)
@click.option("--key", type=FILE, required=True, help="The private key, NAME.key.pem.")
@passphrase_option
@json_option
def sign(bundle: Path, *, key: Path, passphrase_file: Path | None, json_output: bool) -> None:
    """Sign BUNDLE in place, instead of any signature that it had."""
    signer = sign_bundle(bundle, read_private_key(key, read_passphrase(passphrase_file)))
    if json_output:
        print_json({"bundle": str(bundle), "key_id": signer})
    else:
        click.echo(f"{bundle}: signed by key {signer}")


@keys.command()
@click.argument("bundle", type=FILE)
@click.option("--trust", type=FILE, multiple=True, required=True, help="A trusted public key, NAME.pub.pem.")
@json_option
def check(bundle: Path, *, trust: tuple[Path, ...], json_output: bool) -> None:
    """Verify that BUNDLE is whole, has not expired and was signed by a trusted key."""
    with Bundle.open(bundle, trusted=trusted_keys(trust)) as opened:
        check_expiry(opened, utc_now())
        manifest = opened.manifest
        signer = opened.signature.key_id if opened.signature else None
        found = {
            "bundle": str(bundle),
            "name": manifest.name,
            "version": manifest.version,
            "device_class": manifest.device_class,
            "expires": manifest.expires.isoformat() if manifest.expires else None,
            "sha256": opened.sha256,
            "key_id": signer,
        }
    if json_output:
        print_json(found)
    else:
        until = f", until {found['expires']}" if manifest.expires else ""
        device = f", for {manifest.device_class}" if manifest.device_class else ""
        click.echo(f"{bundle}: {manifest.name} version {manifest.version}{device}{until}")
        click.echo(f"signed by key {signer}; all hashes match")


@keys.command()
@click.argument("folder", type=FILE)
@click.option(
    "--server",
    "servers",
    multiple=True,
    metavar="NAME[,NAME]...",
    help="A server (broker, page): all host names and addresses that its clients use.",
)
@click.option("--client", "clients", multiple=True, metavar="NAME", help="A client: its user at the broker.")
@click.option("--days", type=click.IntRange(1, 3650), default=825, show_default=True, help="Until they end.")
@json_option
def tls(
    folder: Path, *, servers: tuple[str, ...], clients: tuple[str, ...], days: int, json_output: bool
) -> None:
    """Make TLS certificates NAME.pem and NAME.key in FOLDER, signed by its authority, made at first."""
    authority, new = open_authority(folder, utc_now())
    made = [authority.folder / "ca.pem", authority.folder / "ca.key"] if new else []
    wanted = [(tuple(names.split(",")), True) for names in servers] + [((name,), False) for name in clients]
    for names, server in wanted:
        made += authority.issue(names, server=server, now=utc_now(), days=days)
    if json_output:
        print_json({"written": [str(path) for path in made]})
        return
    for path in made:
        click.echo(str(path))
    click.echo(
        f"whoever connects trusts {authority.folder / 'ca.pem'}; {authority.folder / 'ca.key'} stays here"
    )
