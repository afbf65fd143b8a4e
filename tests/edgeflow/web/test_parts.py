"""Pages *Parts* and *Review* on the history of a box that does not run, with parts named to do harm."""

from __future__ import annotations

import csv
import io
import re
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from PIL import Image
from starlette.testclient import TestClient

from edgeflow.config.box import BoxConfig
from edgeflow.contracts.datasets.part_label import read_label
from edgeflow.history.reader import HistoryReader
from edgeflow.monitoring.drift.part import DriftState
from edgeflow.monitoring.drift.reference import Reference
from edgeflow.monitoring.drift.state import write_state
from edgeflow.monitoring.drift.view import ViewDrift
from edgeflow.web.pages.review import most_doubtful
from simulators.results import SHA256
from tests.edgeflow.web.conftest import NAMES, SCORES, token


def listed(client: TestClient, query: str = "") -> list[str]:
    answer = client.get(f"/parts{query}")
    assert answer.status_code == 200
    return re.findall(r'href="/parts/(session-\d+)"', answer.text)


def test_the_list_filters_and_pages(client: TestClient) -> None:
    assert listed(client) == [f"session-{n:06d}" for n in (5, 4, 3, 2, 1, 0)]
    assert listed(client, "?verdict=NG") == ["session-000002", "session-000001"]
    assert listed(client, "?part=P*") == ["session-000005"]
    assert listed(client, "?part=Gr%C3%B6%C3%9Fe 7") == ["session-000001"]
    assert listed(client, "?labelled=yes") == []
    assert len(listed(client, "?verdict=nonsense&since=nonsense&before=x&shift=nonsense")) == 6
    assert len(listed(client, "?view=C1") + listed(client, "?view=C2")) == 6
    assert client.get("/parts?shift=now").status_code == client.get("/parts?shift=last").status_code == 200
    assert listed(client, "?before=3") == ["session-000001", "session-000000"]
    assert listed(client, "?since=2099-01-01") == []
    assert "<script>alert" not in client.get("/parts").text


def test_tables_hold_what_is_filtered_and_no_formula(client: TestClient) -> None:
    text = client.get("/parts/table/csv").content.decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 6
    assert rows[-1]["part_id"] == "'=cmd|' /C calc'!A0"
    sheet = openpyxl.load_workbook(io.BytesIO(client.get("/parts/table/xlsx").content)).active
    head, *cells = sheet.iter_rows()
    place = [cell.value for cell in head].index("part_id")
    first = cells[-1][place]
    assert (first.value, first.data_type) == (NAMES[0], "s")
    assert isinstance(cells[0][[cell.value for cell in head].index("score")].value, float)
    rejected = client.get("/parts/table/csv?verdict=NG").content.decode("utf-8-sig")
    assert len(rejected.splitlines()) == 3
    assert client.get("/parts/table/exe").status_code == 404


def test_one_part_has_its_pictures_scores_and_times(client: TestClient) -> None:
    text = client.get("/parts/session-000002").text
    assert "../../etc/passwd" in text
    pictures = re.findall(r'src="(/parts/session-000002/picture/[^"]+)"', text)
    assert len(pictures) == 6
    for picture in pictures:
        answer = client.get(picture)
        assert Image.open(io.BytesIO(answer.content)).size in ((32, 24), (8, 6))
    assert "1.60" in text
    assert client.get("/parts/trend?of=C1").json()["scores"] == SCORES


def test_the_trend_has_the_bounds_of_the_drift_watch_where_it_knows_the_bundle(
    client: TestClient, config: BoxConfig
) -> None:
    assert client.get("/parts/trend?of=C1").json()["drift"] is None
    reference = Reference(scores=tuple(np.linspace(0.2, 0.6, 201).tolist()), correlation=1.0)
    views = {"C1": ViewDrift(reference=reference)}
    write_state(config.drift_path, DriftState(bundle=SHA256, graph="openvino-fp32", bound=0.3, views=views))
    drift = client.get("/parts/trend?of=C1").json()["drift"]
    assert 0.3 < drift["low"] < 0.4 < drift["high"] < 0.5
    assert len(drift["level"]) == len(SCORES)
    assert client.get("/parts/trend?of=C2").json()["drift"] is None
    assert client.get("/parts/trend?of=nothing").json()["drift"] is None
    write_state(config.drift_path, DriftState(bundle="cd", graph="openvino-fp32", bound=0.3, views=views))
    assert client.get("/parts/trend?of=C1").json()["drift"] is None


@pytest.mark.parametrize(
    "path",
    [
        "/parts/..%2f..%2fetc%2fpasswd",
        "/parts/%2e%2e",
        f"/parts/{'x' * 4000}",
        "/parts/unbekannt-größe",
        "/parts/session-000001/picture/..%2fC1/original",
        "/parts/session-000001/picture/C1/..%2foriginal",
        "/parts/session-000001/picture/C9/original",
        "/parts/session-000001/picture/C1/result",
    ],
)
def test_odd_parts_and_pictures_are_not_found(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_a_record_that_names_a_folder_elsewhere_shows_nothing_of_it(
    client: TestClient, config: BoxConfig, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    Image.new("RGB", (4, 4)).save(elsewhere / "C1.png")
    with sqlite3.connect(config.history_path) as connection:
        connection.execute("UPDATE results SET evidence = ?", (str(elsewhere),))
    connection.close()
    assert client.get("/parts/session-000001/picture/C1/original").status_code == 404
    assert "have been removed" in client.get("/parts/session-000001").text


def test_evidence_deleted_under_the_page_is_said(client: TestClient, config: BoxConfig) -> None:
    assert config.evidence is not None
    shutil.rmtree(config.evidence.dir)
    answer = client.get("/parts/session-000001")
    assert answer.status_code == 200
    assert "have been removed" in answer.text
    assert client.get("/parts/session-000001/picture/C1/original").status_code == 404
    assert "Nothing to review" in client.get("/review").text


def test_review_begins_with_the_doubtful_and_keeps_who_judged(client: TestClient, config: BoxConfig) -> None:
    headers = token(client)

    def judge(part: str, label: str, **more: str) -> str:
        form = {"result_id": part, "label": label, **more}
        return client.post("/review/label", headers=headers, data=form).text

    assert 'value="session-000004"' in client.get("/review").text  # 0.95: nearest to the threshold, newest
    assert 'value="session-000001"' in judge("session-000004", "OK")
    assert 'value="session-000002"' in judge("session-000001", "NG", kind="scratch")
    text = judge("session-000002", "skip")
    assert 'value="session-000005"' in text
    assert 'value="session-000002"' in text  # among the skipped ones
    assert "up to 40 letters" in judge("session-000003", "NG", kind="../../x")
    assert "no such part" in judge("nobody", "OK")
    assert client.post("/review/label", headers=headers, data={"label": "maybe"}).status_code == 400
    assert client.post("/review/label", data={"label": "OK"}).status_code == 403
    with HistoryReader(config.history_path) as reader:
        found = reader.part("session-000001")
        assert found is not None
        (label,) = found.labels
        assert (label.label, label.kind, label.by, label.source) == ("NG", "scratch", "local", "page")
        assert found.row.evidence is not None
        assert read_label(Path(found.row.evidence)) == label
    assert "local" in client.get("/parts/session-000001").text
    assert listed(client, "?labelled=NG") == ["session-000001"]
    judge("session-000001", "OK")
    with HistoryReader(config.history_path) as reader:
        again = reader.part("session-000001")
        assert again is not None
        assert [label.label for label in again.labels] == ["NG", "OK"]


def test_the_order_of_review(config: BoxConfig) -> None:
    with HistoryReader(config.history_path) as reader:
        rows = reader.rows()
    assert [row.score for row in most_doubtful(rows)] == [0.95, 1.05, 1.6, 0.2, 0.4, 0.3]
    assert len(most_doubtful(rows, frozenset({"session-000004"}))) == 5


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        ("PRAGMA user_version = 99", "newer edgeflow"),
        ("", "damaged"),
        (None, "there is none yet"),
    ],
)
def test_a_history_that_cannot_be_read_is_said_in_plain_words(
    client: TestClient, config: BoxConfig, harm: str | None, why: str
) -> None:
    path = config.history_path
    if harm:
        connection = sqlite3.connect(path)
        connection.execute(harm)
        connection.close()
    else:
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()
        if harm is not None:
            path.write_bytes(b"this is no database" * 1000)
    for address in ("/parts", "/review", "/parts/session-000001", "/parts/table/csv"):
        answer = client.get(address)
        assert answer.status_code == 503
        assert why in answer.text
    assert client.get("/line").status_code == 200


def test_a_locked_history_is_read_nevertheless_and_a_judgement_says_that_it_waits(
    client: TestClient, config: BoxConfig
) -> None:
    other = sqlite3.connect(config.history_path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert len(listed(client)) == 6
    answer = client.post(
        "/review/label", headers=token(client), data={"result_id": "session-000001", "label": "OK"}
    )
    assert "locked" in answer.text
    other.execute("ROLLBACK")
    other.close()
