"""A folder from which a box without a network installs: edgeflow's wheel, all that it needs, and hashes.

    PYTHONPATH=tools python -m packages.wheels -o dist/wheels

``requirements.txt`` in the folder pins every file by its SHA-256.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import click

REPOSITORY = Path(__file__).resolve().parents[2]
EXTRAS = "fleet,journal,modbus,opcua,openvino,streams,web"
_MANYLINUX = ("2_34", "2_31", "2_28", "2_27", "2_17", "2014")
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_WHEEL = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+)-")


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The folder.")
@click.option("--extras", default=EXTRAS, show_default=True)
@click.option(
    "--architecture", type=click.Choice([*_MACHINES]), help="Of the box; default: of this computer."
)
@click.option("--python-version", help="Of the box, such as 3.13; default: of this Python.")
def main(output: Path, extras: str, architecture: str | None, python_version: str | None) -> None:
    """Build edgeflow, download what it needs, and pin all of it by hash."""
    output.mkdir(parents=True, exist_ok=True)
    for old in output.iterdir():
        old.unlink()
    build(output)
    download(output, extras, architecture, python_version)
    pins = write_requirements(output, extras)
    size = sum(file.stat().st_size for file in output.iterdir())
    click.echo(f"{output}: {pins} wheels, {size / 1e6:.0f} MB; install there with:")
    click.echo("pip install --no-index --find-links . --require-hashes -r requirements.txt")


def build(folder: Path) -> None:
    """Build the wheel, and beside the folder the source archive."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=REPOSITORY, check=True
    )
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", folder.parent],
        cwd=REPOSITORY,
        check=True,
    )


def download(folder: Path, extras: str, architecture: str | None, python_version: str | None) -> None:
    """Download the wheels that edgeflow needs, for this computer or for another one."""
    options: list[str] = ["--only-binary", ":all:"]
    if architecture or python_version:
        machine = _MACHINES[architecture] if architecture else sysconfig.get_platform().split("-")[-1]
        options += [
            part
            for glibc in _MANYLINUX
            for part in ("--platform", f"manylinux{'_' if '_' in glibc else ''}{glibc}_{machine}")
        ]
        options += ["--python-version", python_version or sysconfig.get_python_version()]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *options, "-d", folder, "--find-links", folder, f"edgeflow[{extras}]"], check=True)


def write_requirements(folder: Path, extras: str) -> int:
    """Write ``requirements.txt`` with one pinned line for every wheel; returns their number."""
    lines = [_pin(file, extras) for file in sorted(folder.glob("*.whl"))]
    (folder / "requirements.txt").write_text("\n".join(lines) + "\n", "utf-8")
    return len(lines)


def _pin(wheel: Path, extras: str) -> str:
    match = _WHEEL.match(wheel.name)
    if match is None:
        raise click.ClickException(f"{wheel}: is not called as wheels are")
    name = f"edgeflow[{extras}]" if match["name"] == "edgeflow" else match["name"]
    return f"{name}=={match['version']} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}"


if __name__ == "__main__":
    main()
