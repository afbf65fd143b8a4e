"""Regions on a part's pictures: kept with the judgement, shown again, and refused where they cannot be."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from edgeflow.commands.audit_log import read_audit
from edgeflow.config.box import BoxConfig
from edgeflow.contracts.datasets.part_label import read_label
from edgeflow.errors import DataError
from edgeflow.history.labelling import label_part
from edgeflow.history.reader import HistoryReader
from tests.edgeflow.web.conftest import token

PART = "session-000002"
ADDRESS = f"/parts/{PART}/label"


def shown(text: str) -> list[tuple[str, ...]]:
    """The rectangles on the pictures: which label's, x, y, width, height."""
    return re.findall(r'<rect( class="earlier")? x="(\d+)" y="(\d+)" width="(\d+)" height="(\d+)"/>', text)


def test_regions_are_kept_as_the_command_line_keeps_them_and_shown_again(
    client: TestClient, config: BoxConfig
) -> None:
    form = {"label": "NG", "kind": "dent", "region": ["C1:3,4,10,12", "C2:0,0,32,24"]}
    answer = client.post(ADDRESS, headers=token(client), data=form)
    assert (answer.status_code, answer.headers["hx-refresh"]) == (204, "true")
    with HistoryReader(config.history_path) as reader:
        record = reader.part(PART)
    assert record is not None
    assert record.row.evidence is not None
    (label,) = record.labels
    assert [tuple(region.model_dump().values()) for region in label.regions] == [
        ("C1", 3, 4, 10, 12),
        ("C2", 0, 0, 32, 24),
    ]
    assert read_label(Path(record.row.evidence)) == label
    audited = read_audit(config.audit_path, 1)[0]
    assert (audited["verb"], audited["arguments"]["regions"]) == ("label", "C1:3,4,10,12 C2:0,0,32,24")
    assert audited["source"].endswith("for user 'local'")
    assert shown(client.get(f"/parts/{PART}").text) == [
        ("", "3", "4", "10", "12"),
        ("", "0", "0", "32", "24"),
    ]
    region = {"view": "C1", "x": 1, "y": 2, "width": 3, "height": 4}
    label_part(config.history_path, PART, "NG", regions=[region], by="Ann", source="cli")
    text = client.get(f"/parts/{PART}").text
    assert shown(text)[0] == (' class="earlier"', "3", "4", "10", "12")  # of another person, still on record
    assert ("", "1", "2", "3", "4") in shown(text)
    assert "Ann" in text
    client.post(ADDRESS, headers=token(client), data={"label": "OK"})
    assert len(shown(client.get(f"/parts/{PART}").text)) == 1, "the last word of each person"


REFUSED: list[tuple[list[str], str, str]] = [
    (["C1:0,0,33,1"], "beyond the picture of view C1, which has 32 × 24", "über das Bild der Ansicht C1"),
    (["C1:-1,0,5,5"], "beyond the picture", "reicht über"),
    (["C1:0,999999999999999999,5,5"], "beyond the picture", "reicht über"),
    (["C1:nan,0,5,5"], "whole numbers", "ganze Zahlen"),
    (["C1:1.5,0,5,5"], "whole numbers", "ganze Zahlen"),
    (["C1:1e3,0,5,5"], "whole numbers", "ganze Zahlen"),
    ([f"C1:{'9' * 400},0,5,5"], "whole numbers", "ganze Zahlen"),
    (["C1:٣,0,5,5"], "whole numbers", "ganze Zahlen"),
    (["C1:,,,"], "whole numbers", "ganze Zahlen"),
    (["nonsense"], "whole numbers", "ganze Zahlen"),
    (["C1:0,0,0,5"], "at least one pixel", "mindestens ein"),
    (["C1:0,0,5,-5"], "at least one pixel", "mindestens ein"),
    (["C1:0,0,5,5", "C9:0,0,5,5"], "Region 2: the part has no view C9", "keine Ansicht C9"),
    (["<script>:0,0,5,5"], "no view <script>", "keine Ansicht"),
    (["C1:0,0,5,5"] * 65, "65 regions are too many", "65 Bereiche"),
]


def test_regions_that_cannot_be_are_refused_in_the_users_words(client: TestClient, config: BoxConfig) -> None:
    headers = token(client)
    for regions, why, german in REFUSED:
        form = {"label": "NG", "result_id": PART, "region": regions}
        for address in (ADDRESS, "/review/label"):
            answer = client.post(address, headers=headers, data=form)
            assert (answer.status_code, why in answer.text) == (400, True), regions
            assert answer.headers["content-type"].startswith("text/plain")
        translated = client.post(ADDRESS, headers={**headers, "accept-language": "de"}, data=form)
        assert german in translated.text
    with HistoryReader(config.history_path) as reader:
        record = reader.part(PART)
    assert record is not None
    assert record.labels == ()


def test_a_good_part_has_no_regions_and_removed_pictures_take_none(
    client: TestClient, config: BoxConfig
) -> None:
    headers = token(client)
    good = client.post(ADDRESS, headers=headers, data={"label": "OK", "region": "C1:0,0,5,5"})
    assert (good.status_code, good.text) == (
        400,
        "Regions mark a defect. Remove them, or judge the part NG.",
    )
    assert config.evidence is not None
    shutil.rmtree(config.evidence.dir)
    gone = client.post(ADDRESS, headers=headers, data={"label": "NG", "region": "C1:0,0,5,5"})
    assert "has been removed. Judge the part without regions." in gone.text
    assert client.post(ADDRESS, headers=headers, data={"label": "NG"}).status_code == 204
    assert client.get(f"/parts/{PART}").status_code == 200


def test_the_command_line_has_the_same_bound(config: BoxConfig) -> None:
    region = {"view": "C1", "x": 30, "y": 0, "width": 3, "height": 1}
    with pytest.raises(DataError, match="beyond the picture of the view, which has 32 x 24"):
        label_part(config.history_path, PART, "NG", regions=[region], by="Ann", source="cli")
    label_part(config.history_path, PART, "NG", regions=[{**region, "width": 2}], by="Ann", source="cli")


def test_judging_one_part_needs_a_token_a_role_and_a_part(client: TestClient) -> None:
    headers = token(client)
    assert client.post(ADDRESS, data={"label": "OK"}).status_code == 403
    assert client.post(ADDRESS, headers=headers, data={"label": "maybe"}).status_code == 400
    assert client.post("/parts/nobody/label", headers=headers, data={"label": "OK"}).status_code == 400
    many = "&".join(["region=x"] * 600)
    typed = {**headers, "content-type": "application/x-www-form-urlencoded"}
    assert client.post(ADDRESS, headers=typed, content=many).status_code == 400
