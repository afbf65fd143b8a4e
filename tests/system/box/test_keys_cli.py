"""Signed bundles as a user handles them: made, checked, run, and refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from simulators.small_bundle import SIDE, VIEWS, colour_mean, small_bundle

if TYPE_CHECKING:
    from tests.system.conftest import Broker

BOX = """\
station: {site: a, line: b, station: c}
bundle: current.bundle
trigger: {source: interval, period_ms: 50, timeout_ms: 500}
cameras:
  top: {kind: replay, parts: parts}
  left: {kind: replay, parts: parts}
sync: {max_skew_ms: 200}
decision: {deadline_ms: 5000}
runtime: {backend: onnxruntime, precision: fp32}
mqtt: {host: 127.0.0.1, port: 1883}
outbox: {path: state/outbox.db, confirm: broker}
trust: {keys: [line.pub.pem], device_class: n100}
views: {unusable: "off"}
"""


def edgeflow(folder: Path, *arguments: str, phrase: str = "") -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "edgeflow.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        timeout=60,
        env={
            **os.environ,
            "COLUMNS": "160",
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "EDGEFLOW_KEY_PASSPHRASE": phrase,
        },
    )
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A folder with a key pair, a box file and two recorded parts."""
    assert edgeflow(tmp_path, "keys", "new", "line").returncode == 0
    (tmp_path / "box.yaml").write_text(BOX)
    for part in ("p1", "p2"):
        (tmp_path / "parts" / part).mkdir(parents=True)
        for view in VIEWS:
            Image.new("RGB", (SIDE, SIDE), "grey").save(tmp_path / "parts" / part / f"{view}.png")
    return tmp_path


def test_a_box_runs_a_signed_bundle_and_then_none_that_is_older(workplace: Path, broker: Broker) -> None:
    (workplace / "box.yaml").write_text(BOX.replace("1883", str(broker.port)))
    small_bundle(workplace / "current.bundle", version=7, device_class="n100")
    refused = edgeflow(workplace, "run", "box.yaml", "--json")
    assert refused.returncode == 5
    assert "not signed" in refused.stderr
    assert not (workplace / "state" / "installed.json").exists()
    assert edgeflow(workplace, "keys", "sign", "current.bundle", "--key", "line.key.pem").returncode == 0
    done = edgeflow(workplace, "run", "box.yaml", "--json")
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["verdict"] for line in done.stdout.splitlines()[:-1]] == ["OK", "OK"]
    record = json.loads((workplace / "state" / "installed.json").read_text())
    assert record["bundles"]["bracket"]["version"] == 7
    small_bundle(workplace / "current.bundle", version=6)
    edgeflow(workplace, "keys", "sign", "current.bundle", "--key", "line.key.pem")
    older = edgeflow(workplace, "run", "box.yaml", "--json")
    assert older.returncode == 5
    assert "version 6 is older than version 7" in older.stderr
    back = edgeflow(workplace, "run", "box.yaml", "--once", "--set", "trust.allow_older=true")
    assert back.returncode == 0, back.stderr


def test_check_names_the_signer_or_refuses(workplace: Path) -> None:
    small_bundle(workplace / "b", version=2, device_class="n100", expires="2999-01-01T00:00:00Z")
    refused = edgeflow(workplace, "keys", "check", "b", "--trust", "line.pub.pem")
    assert refused.returncode == 5
    signed = edgeflow(workplace, "keys", "sign", "b", "--key", "line.key.pem", "--json")
    shown = edgeflow(workplace, "keys", "show", "line.pub.pem", "--json")
    done = edgeflow(workplace, "keys", "check", "b", "--trust", "line.pub.pem", "--json")
    found = json.loads(done.stdout)
    assert found["key_id"] == json.loads(shown.stdout)["key_id"] == json.loads(signed.stdout)["key_id"]
    assert found["version"] == 2
    assert found["expires"] == "2999-01-01T00:00:00+00:00"
    text = edgeflow(workplace, "keys", "check", "b", "--trust", "line.pub.pem").stdout
    assert "bracket version 2, for n100, until 2999" in text
    assert f"signed by key {found['key_id']}; all hashes match" in text
    assert f"claims to be signed by key {found['key_id']}" in edgeflow(workplace, "inspect", "b").stdout
    small_bundle(workplace / "b", expires="2020-01-01T00:00:00Z")
    edgeflow(workplace, "keys", "sign", "b", "--key", "line.key.pem")
    expired = edgeflow(workplace, "keys", "check", "b", "--trust", "line.pub.pem")
    assert expired.returncode == 5
    assert "expired at 2020" in expired.stderr


def test_passphrase_comes_from_a_file_or_the_environment(workplace: Path) -> None:
    (workplace / "secret").write_text("open sesame\n")
    made = edgeflow(workplace, "keys", "new", "safe", "--passphrase-file", "secret", "--json")
    key_id = json.loads(made.stdout)["key_id"]
    assert edgeflow(workplace, "keys", "show", "safe.key.pem").returncode == 2
    by_file = edgeflow(workplace, "keys", "show", "safe.key.pem", "--passphrase-file", "secret")
    by_environment = edgeflow(workplace, "keys", "show", "safe.key.pem", phrase="open sesame")
    assert key_id in by_file.stdout
    assert by_file.stdout == by_environment.stdout
    assert edgeflow(workplace, "keys", "new", "safe").returncode == 2


def test_verify_refuses_a_hostile_graph_before_it_is_loaded(workplace: Path) -> None:
    model = colour_mean()
    model.graph.initializer[0].external_data.add(key="location", value="/etc/passwd")
    small_bundle(workplace / "b", model=model.SerializeToString())
    done = edgeflow(workplace, "verify", "b")
    assert done.returncode == 5
    assert "mean.onnx: names data outside the bundle" in done.stderr


def test_certificates_for_broker_and_box_are_all_that_a_broker_asks_for(
    workplace: Path, broker: Broker
) -> None:
    """Mosquitto lets in whom the plant's authority names, under that name; nobody of another authority."""
    made = edgeflow(workplace, "keys", "tls", "plant", "--server", "127.0.0.1", "--client", "box-c")
    assert made.returncode == 0, made.stderr
    assert edgeflow(workplace, "keys", "tls", "others", "--client", "box-c").returncode == 0
    plant = workplace / "plant"
    broker.kill()
    broker.settings = (
        f"allow_anonymous false\nrequire_certificate true\nuse_identity_as_username true\n"
        f"cafile {plant / 'ca.pem'}\ncertfile {plant / '127.0.0.1.pem'}\nkeyfile {plant / '127.0.0.1.key'}"
    )
    broker.start()
    small_bundle(workplace / "current.bundle", device_class="n100")
    edgeflow(workplace, "keys", "sign", "current.bundle", "--key", "line.key.pem")

    def broker_says(certificates: str) -> str:
        tls = f"{{ca: plant/ca.pem, cert: {certificates}/box-c.pem, key: {certificates}/box-c.key}}"
        mqtt = f"{{host: 127.0.0.1, port: {broker.port}, tls: {tls}}}"
        (workplace / "box.yaml").write_text(BOX.replace("{host: 127.0.0.1, port: 1883}", mqtt))
        report: dict[str, list[dict[str, str]]] = json.loads(
            edgeflow(workplace, "check", "box.yaml", "--json").stdout
        )
        return {finding["name"]: finding["state"] for finding in report["findings"]}["broker"]

    assert broker_says("plant") == "ok"
    assert "u'box-c'" in (workplace / "mosquitto.log").read_text()
    assert broker_says("others") == "failed"
