"""The Debian package: an environment below ``/opt/edgeflow``, the services, their user and folders.

    PYTHONPATH=tools python -m packages.deb dist/wheels -o dist

It is for the distribution and the processor on which it is built. ``DEBFULLNAME`` and ``DEBEMAIL`` name its
maintainer, as for other Debian tools.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import click

from packages.bill import write_bill
from packages.environment import PLACE, PYTHON, make_environment
from packages.wheels import REPOSITORY

_SOURCES = Path(__file__).parent / "debian"
_FIRMWARE = REPOSITORY / "firmware_configs"
_FILES = {
    "systemd/edgeflow.service": "usr/lib/systemd/system",
    "systemd/edgeflow-fleet.service": "usr/lib/systemd/system",
    "systemd/edgeflow-modbus.service": "usr/lib/systemd/system",
    "systemd/edgeflow-opcua.service": "usr/lib/systemd/system",
    "systemd/edgeflow-web.service": "usr/lib/systemd/system",
    "udev/60-edgeflow-usb3-vision.rules": "usr/lib/udev/rules.d",
}
_CONFFILES = ("etc/default/edgeflow",)
_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("wheels", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("-o", "--output", type=_FILE, required=True, help="The folder to write to.")
@click.option("--revision", default="1", show_default=True, help="Of the package, for the same edgeflow.")
@click.option("--level", default=9, show_default=True, help="Of zstd's compression.")
@click.option("--python", type=_FILE, default=PYTHON, show_default=True, help="Interpreter on the box.")
@click.option("--borrow", type=_FILE, help="For tests: the box's folder with what edgeflow needs.")
def main(wheels: Path, output: Path, revision: str, level: int, python: Path, borrow: Path | None) -> None:
    """Build the package from the folder WHEELS; beside it lies the bill of materials."""
    os.umask(0o022)  # the service's user reads what is installed
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        stage = Path(folder)
        stage.chmod(0o755)
        site = make_environment(wheels, stage, python=python, borrow=borrow)
        _add_files(stage)
        _add_bill(stage, None if borrow else output)
        version = _version(site)
        _add_control(stage, f"{version}-{revision}", python)
        architecture = _output("dpkg", "--print-architecture")
        package = output / f"edgeflow_{version}-{revision}_{architecture}.deb"
        build = [
            "dpkg-deb",
            "--root-owner-group",
            "-Zzstd",
            f"-z{level}",
            "--build",
            str(stage),
            str(package),
        ]
        subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    click.echo(f"{package}: {package.stat().st_size / 1e6:.0f} MB")


def _add_files(stage: Path) -> None:
    """Add all that lies outside the environment, as readable files of root."""
    for name, folder in _FILES.items():
        _copy(_FIRMWARE / name, stage / folder / Path(name).name)
    _copy(_SOURCES / "default", stage / "etc/default/edgeflow")
    _copy(_SOURCES / "copyright", stage / "usr/share/doc/edgeflow/copyright")
    (stage / "usr/bin").mkdir(parents=True)
    (stage / "usr/bin/edgeflow").symlink_to(PLACE / "bin" / "edgeflow")


def _add_bill(stage: Path, output: Path | None) -> None:
    """Write the bill of materials into the package, and a copy beside it."""
    if output is None:
        return
    bill = stage / "usr/share/doc/edgeflow/edgeflow.cdx.json"
    write_bill(stage, bill)
    shutil.copy(bill, output / bill.name)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o644)


def _add_control(stage: Path, version: str, python: Path) -> None:
    files = [file for file in sorted(stage.rglob("*")) if file.is_file() and not file.is_symlink()]
    sums = [f"{hashlib.md5(f.read_bytes()).hexdigest()}  {f.relative_to(stage)}\n" for f in files]  # noqa: S324 - dpkg's format
    control = stage / "DEBIAN"
    control.mkdir()
    (control / "md5sums").write_text("".join(sums))
    (control / "conffiles").write_text("".join(f"/{name}\n" for name in _CONFFILES))
    fields = {
        "VERSION": version,
        "ARCHITECTURE": _output("dpkg", "--print-architecture"),
        "MAINTAINER": _maintainer(),
        "INSTALLED_KB": str(sum(file.stat().st_size for file in files) // 1024),
        "PYTHON": f"{python.name}, " if python.parent == PYTHON.parent else "",
    }
    text = re.sub(r"@(\w+)@", lambda match: fields[match[1]], (_SOURCES / "control").read_text("utf-8"))
    (control / "control").write_text(text, "utf-8")
    for name in ("postinst", "prerm", "postrm"):
        shutil.copyfile(_SOURCES / name, control / name)
        (control / name).chmod(0o755)


def _maintainer() -> str:
    name, address = os.environ.get("DEBFULLNAME"), os.environ.get("DEBEMAIL")
    return f"{name or 'edgeflow contributors'} <{address or 'packages@edgeflow.invalid'}>"


def _version(site: Path) -> str:
    """Return edgeflow's version as Debian sorts it: a release candidate comes before its release."""
    (metadata,) = site.glob("edgeflow-*.dist-info")
    version = metadata.name.removeprefix("edgeflow-").removesuffix(".dist-info")
    return re.sub(r"\.?(dev|a|b|rc)(?=\d)", r"~\1", version)


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
