"""Box files in the repository: whole, for one station, and nothing that cuts a box off from its fleet."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from edgeflow.clock import utc_now
from edgeflow.config.box import BoxConfig, load_config
from edgeflow.config.updates.fleet import FleetConfig
from edgeflow.errors import DataError, EdgeflowError, IntegrityError, UsageError
from edgeflow.fleet.box_files.publication import differences, parse_publication, target_of
from edgeflow.fleet.client import FleetClient
from simulators.fleet_repository import Publisher


def document(station: str = "s2") -> dict[str, object]:
    return {
        "station": {"site": "plant1", "line": "l3", "station": station},
        "bundle": "current.bundle",
        "trigger": {"source": "interval", "period_ms": 500, "timeout_ms": 2000},
        "cameras": {"top": {"kind": "replay", "parts": "parts", "loop": True}},
        "sync": {"max_skew_ms": 500},
        "decision": {"deadline_ms": 5000},
        "runtime": {"backend": "onnxruntime", "precision": "fp32"},
        "mqtt": {"host": "127.0.0.1", "port": 1883},
        "outbox": {"path": "outbox.db"},
        "trust": {"keys": ["line.pub.pem"]},
        "fleet": {"repository": "https://updates.plant.example", "root": "root.json", "group": "canary"},
    }


def written(path: Path, **changes: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    merged: dict[str, object] = {**document(), **changes}
    path.write_text(yaml.safe_dump({key: value for key, value in merged.items() if value is not None}))
    return path


def config(path: Path, **changes: object) -> BoxConfig:
    return load_config(written(path, **changes))


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(root=tmp_path / "office")


def box(publisher: Publisher, tmp_path: Path) -> FleetClient:
    (tmp_path / "root.json").write_bytes(publisher.first_root.read_bytes())
    found = FleetConfig(repository=publisher.path, root=tmp_path / "root.json", group="canary")
    return FleetClient(found, tmp_path / "box")


def test_a_station_finds_its_own_file_and_no_other(publisher: Publisher, tmp_path: Path) -> None:
    files = [
        written(tmp_path / f"{name}.yaml", station=document(name)["station"])
        for name in ("s2", "s3", "Öl%?..")
    ]
    made = publisher.at().publish_boxes(files, {"parts": 20, "undecided": 1, "wait_s": 90}, publisher.keys)
    client = box(publisher, tmp_path)
    client.look(utc_now())
    for file, one in zip(files, made, strict=True):
        assert client.box_file(one.station) == one
        assert client.read_box_file(one.station) == file.read_bytes()
    assert client.box_file("plant1/l3/s4") is None
    publisher.publish(2)  # a bundle beside them changes nothing
    client.look(utc_now())
    assert client.box_file(made[0].station) == made[0]
    assert publisher.at().box_files() == sorted(made, key=lambda one: target_of(one.station))


def test_a_file_that_is_exchanged_in_the_repository_is_not_taken(
    publisher: Publisher, tmp_path: Path
) -> None:
    (made,) = publisher.at().publish_boxes([written(tmp_path / "s2.yaml")], {}, publisher.keys)
    client = box(publisher, tmp_path)
    client.look(utc_now())
    (there,) = (publisher.path / "targets" / "boxes").iterdir()
    for data in (there.read_bytes()[:-1], there.read_bytes() + b"\n", b"x" * there.stat().st_size):
        there.write_bytes(data)
        with pytest.raises(IntegrityError):
            client.read_box_file(made.station)


@pytest.mark.parametrize(
    ("changes", "bounds", "text"),
    [
        ({"fleet": None}, {}, "would leave the fleet"),
        ({"cameras": {}}, {}, "cameras"),
        ({"mqtt": {"host": "b", "port": 1883, "password": "secret"}}, {}, "password"),
        ({}, {"parts": 5, "undecided": 5}, "no box ever goes back"),
    ],
)
def test_what_cannot_be_published_says_why(
    publisher: Publisher, tmp_path: Path, changes: dict[str, object], bounds: dict[str, int], text: str
) -> None:
    with pytest.raises(UsageError) as refused:
        publisher.at().publish_boxes([written(tmp_path / "s2.yaml", **changes)], bounds, publisher.keys)
    assert text in str(refused.value)
    assert publisher.at().box_files() == []


def test_two_files_for_one_station_are_refused(publisher: Publisher, tmp_path: Path) -> None:
    files = [written(tmp_path / "a.yaml"), written(tmp_path / "b.yaml")]
    with pytest.raises(UsageError, match="two of these files are for one station"):
        publisher.at().publish_boxes(files, {}, publisher.keys)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"station": document("s9")["station"]}, "is for station plant1/l3/s9; this is plant1/l3/s2"),
        ({"fleet": {**document()["fleet"], "repository": "https://else"}}, "'fleet'"),  # type: ignore[dict-item]
        ({"fleet": None}, "'fleet'"),
        ({"trust": {"keys": ["other.pub.pem"]}}, "'trust'"),
        ({"trust": None}, "'trust'"),
        ({"outbox": {"path": "elsewhere/outbox.db"}}, "'outbox.path'"),
        ({"commands": {"socket": "other.sock"}}, "'commands.socket'"),
        ({"mqtt": {"host": "127.0.0.1", "port": 1883, "root": "else"}}, "'mqtt.root'"),
        ({"mqtt": {"host": "127.0.0.1", "port": 1883, "client_id": "else"}}, "'mqtt.client_id'"),
    ],
)
def test_a_file_that_cuts_a_box_off_is_refused(tmp_path: Path, changes: dict[str, object], name: str) -> None:
    problems = differences(config(tmp_path / "old.yaml"), config(tmp_path / "new.yaml", **changes))
    assert any(name in problem for problem in problems)


def test_everything_else_may_change(tmp_path: Path) -> None:
    changed = {
        "decision": {"deadline_ms": 400},
        "mqtt": {"host": "broker2", "port": 8883},
        "evidence": {"dir": "evidence"},
    }
    assert differences(config(tmp_path / "old.yaml"), config(tmp_path / "new.yaml", **changed)) == []


@pytest.mark.parametrize("custom", [None, {}, {"id": "x"}, [1], "text"])
def test_a_description_that_is_none_is_refused(custom: object) -> None:
    with pytest.raises((DataError, EdgeflowError)):
        parse_publication(custom)
