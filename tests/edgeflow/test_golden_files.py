"""Box files, camera files, bundles and outboxes of earlier days: today's code goes on with them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from edgeflow.bundles.bundle import Bundle
from edgeflow.cameras.genicam.features import read_features
from edgeflow.config.box import load_config
from edgeflow.contracts.messages import Dropped, Result, from_json
from edgeflow.contracts.signature import TrustedKeys, key_id
from edgeflow.delivery.outbox import Outbox
from edgeflow.delivery.store.records import Limits
from edgeflow.errors import IntegrityError
from edgeflow.scoring.verification import verify_graph

FIRST = Path(__file__).parents[1] / "golden" / "2026-11-28"
WAITING = ["session-a-000002", "session-a-000004", "session-a-000005", "session-a-000006"]


def trusted() -> TrustedKeys:
    key = load_pem_public_key((FIRST / "signed" / "key.pub.pem").read_bytes())
    return {key_id(key): key}  # type: ignore[arg-type, dict-item]


@pytest.mark.parametrize("file", sorted((FIRST / "boxes").iterdir()), ids=lambda file: file.stem)
def test_a_box_file_of_an_earlier_day_is_read(file: Path) -> None:
    config = load_config(file)
    assert config.cameras
    assert config.outbox.path.is_absolute()


@pytest.mark.parametrize("file", sorted((FIRST / "cameras").iterdir()), ids=lambda file: file.stem)
def test_a_camera_file_of_an_earlier_day_is_read(file: Path) -> None:
    assert read_features(file)


def test_a_bundle_of_an_earlier_day_is_opened_and_still_computes_the_same() -> None:
    with Bundle.open(FIRST / "unsigned.bundle") as bundle:
        assert (bundle.manifest.schema_version, bundle.manifest.version) == ("1.3", 1)
        (check,) = verify_graph(bundle, bundle.manifest.graphs[0])
    assert check.error <= check.tolerance


def test_a_bundle_signed_on_an_earlier_day_is_still_trusted() -> None:
    with Bundle.open(FIRST / "signed.bundle", trusted=trusted()) as bundle:
        assert bundle.manifest.name == "bracket"
    with pytest.raises(IntegrityError, match="not signed"):
        Bundle.open(FIRST / "unsigned.bundle", trusted=trusted())


def test_an_outbox_of_an_earlier_day_holds_what_it_held(tmp_path: Path) -> None:
    shutil.copy(FIRST / "outbox.db", tmp_path / "outbox.db")
    outbox = Outbox(tmp_path / "outbox.db", Limits(rows=10, age_s=1e12))
    try:
        assert outbox.flush()
        rows = outbox.pending(0, 100)
    finally:
        outbox.close()
    results = [from_json(Result, row.payload) for row in rows if row.verdict != "DROPPED"]
    assert [result.result_id for result in results] == WAITING
    assert all("reason_code" not in json.loads(row.payload) for row in rows)  # sent as they were written
    dropped = [from_json(Dropped, row.payload) for row in rows if row.verdict == "DROPPED"]
    assert sum(record.count for record in dropped) >= 1
    assert dropped[0].result_ids == ("session-a-000001",)
