"""The CycloneDX bill of materials: every package of an environment, and what edgeflow brings from elsewhere.

PYTHONPATH=tools python -m packages.bill dist/wheels -o dist/edgeflow.cdx.json
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from edgeflow import __version__
from packages.environment import PLACE, make_environment
from packages.wheels import REPOSITORY

_VENDORED = REPOSITORY / "edgeflow" / "web" / "static" / "vendor" / "README.md"
_ROW = re.compile(
    r"^\| `[^|]+ \| `(?P<name>[\w.-]+)` \| (?P<version>[\w.-]+) \| (?P<licence>[\w.-]+) \|$", re.MULTILINE
)
_SPEC = "1.6"


@click.command()
@click.argument("wheels", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
def main(wheels: Path, output: Path) -> None:
    """List what an installation from the folder WHEELS holds."""
    with tempfile.TemporaryDirectory() as stage:
        make_environment(wheels, Path(stage), python=Path(sys.executable).resolve())
        count = write_bill(Path(stage), output)
    click.echo(f"{output}: {count} components")


def write_bill(stage: Path, output: Path) -> int:
    """Write the bill of the environment below ``stage``; returns the number of its components."""
    scan = [
        sys.executable,
        "-m",
        "cyclonedx_py",
        "environment",
        "--pyproject",
        str(REPOSITORY / "pyproject.toml"),
    ]
    scan += ["--spec-version", _SPEC, "--output-format", "JSON", "--output-reproducible", "--validate"]
    scan += ["--mc-type", "application", "--output-file", str(output)]
    subprocess.run(
        [*scan, str(stage / PLACE.relative_to("/") / "bin" / "python3")], check=True, capture_output=True
    )
    document = json.loads(output.read_text("utf-8"))
    about, brought = document["metadata"]["component"], vendored()
    about["version"] = __version__
    document["components"] += brought
    needs = {entry["ref"]: entry.get("dependsOn", []) for entry in document["dependencies"]}
    needs[about["bom-ref"]] = needs[about["bom-ref"]] + [component["bom-ref"] for component in brought]
    needs |= {component["bom-ref"]: [] for component in brought}
    document["dependencies"] = [{"ref": ref, "dependsOn": refs} for ref, refs in needs.items()]
    output.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    return len(document["components"])


def vendored() -> list[dict[str, Any]]:
    """Components that lie in edgeflow itself: the page's scripts, from their npm packages."""
    return [
        {
            "type": "library",
            "bom-ref": f"pkg:npm/{row['name']}@{row['version']}",
            "name": row["name"],
            "version": row["version"],
            "licenses": [{"license": {"id": row["licence"]}}],
            "purl": f"pkg:npm/{row['name']}@{row['version']}",
        }
        for row in _ROW.finditer(_VENDORED.read_text("utf-8"))
    ]


if __name__ == "__main__":
    main()
