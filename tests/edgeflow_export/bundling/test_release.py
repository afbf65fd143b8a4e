"""A bundle as it is released: signed at export, with version, device class and expiry."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from edgeflow.cli.main import cli
from edgeflow.security.keys import new_key
from tests.support import tiny as product
from tests.support.tiny import TinyProduct


def test_export_signs_and_says_for_whom_and_how_long(tiny: TinyProduct, tmp_path: Path) -> None:
    pair = new_key(tmp_path / "line", None)
    bundle = tmp_path / "disc.bundle"
    arguments = ["export", str(tiny.checkpoint), "-o", str(bundle), "--precision", "fp32", "--json"]
    arguments += ["--sign", str(pair.private), "--bundle-version", "3", "--device-class", "n100"]
    with product.tests_on_path():
        done = CliRunner().invoke(cli, [*arguments, "--expires", "2099-01-31"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(
        cli, ["keys", "check", str(bundle), "--trust", str(pair.public), "--json"], catch_exceptions=False
    )
    found = json.loads(done.stdout)
    assert (found["key_id"], found["version"], found["device_class"]) == (pair.id, 3, "n100")
    assert found["expires"].startswith("2099-01-31T00:00:00")
