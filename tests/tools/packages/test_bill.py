"""The bill of materials is one by CycloneDX's own schema, and names what an installation brings."""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import distribution, requires, version
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import edgeflow
from packages.bill import vendored, write_bill
from packages.environment import make_environment

pytestmark = pytest.mark.long

NEEDED = {re.split(r"[^\w-]", line)[0].lower() for line in requires("edgeflow") or [] if "extra" not in line}
"""Packages that edgeflow needs without any extra."""


@pytest.fixture(scope="module")
def bill(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The bill of an installation that finds the records of what edgeflow itself needs."""
    folder = tmp_path_factory.mktemp("bill")
    interpreter = Path(sys.executable).resolve()
    borrowed = folder / "borrowed"
    borrowed.mkdir()
    for name in NEEDED:
        record = Path(distribution(name)._path)  # type: ignore[attr-defined]
        (borrowed / record.name).symlink_to(record)
    make_environment(wheels, folder, python=interpreter, borrow=borrowed)
    write_bill(folder, folder / "bill.json")
    return (folder / "bill.json").read_text("utf-8")


def test_it_follows_the_schema(bill: str) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill.replace('"bomFormat"', '"bomForm"'))


def test_it_is_about_edgeflow_and_names_all_that_it_needs(bill: str) -> None:
    document = json.loads(bill)
    about = document["metadata"]["component"]
    assert (about["name"], about["version"]) == ("edgeflow", edgeflow.__version__)
    found = {re.sub(r"[-_.]+", "-", c["name"]).lower(): c["version"] for c in document["components"]}
    assert len(NEEDED) >= 9
    assert {name: found.get(name) for name in NEEDED} == {name: version(name) for name in NEEDED}


def test_every_reference_leads_to_a_component(bill: str) -> None:
    document = json.loads(bill)
    known = {c["bom-ref"] for c in [document["metadata"]["component"], *document["components"]]}
    used = {ref for entry in document["dependencies"] for ref in [entry["ref"], *entry.get("dependsOn", [])]}
    assert used - known == set()


def test_scripts_of_the_page_are_named_with_their_licences(repository: Path) -> None:
    files = (repository / "edgeflow" / "web" / "static" / "vendor").glob("*.js")
    assert len(vendored()) == len(list(files))
    assert all(component["licenses"][0]["license"]["id"] for component in vendored())
