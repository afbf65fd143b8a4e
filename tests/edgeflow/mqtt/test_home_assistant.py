"""Home Assistant's discovery documents point at the box's own topics and cannot collide."""

from __future__ import annotations

from typing import Any

from edgeflow.config.box import BoxConfig
from edgeflow.contracts.documents.document import parse_document
from edgeflow.errors import ConfigError
from edgeflow.mqtt.home_assistant import discovery


def box(**mqtt: Any) -> BoxConfig:
    document = {
        "station": {"site": "plant.1", "line": "l3", "station": "s2"},
        "bundle": "b",
        "trigger": {"source": "interval", "period_ms": 100.0},
        "cameras": {view: {"kind": "replay", "parts": "p"} for view in ("top", "C.1")},
        "sync": {"max_skew_ms": 5.0},
        "decision": {"deadline_ms": 250.0},
        "runtime": {"backend": "openvino"},
        "mqtt": {"host": "127.0.0.1", **mqtt},
        "outbox": {"path": "o"},
    }
    return parse_document(BoxConfig, document, what="box", error=ConfigError)


def test_nothing_is_told_unless_it_was_asked_for() -> None:
    assert discovery(box()) == {}


def test_every_entity_has_its_own_id_and_a_topic_that_the_box_publishes() -> None:
    documents = discovery(box(home_assistant={"prefix": "ha"}))
    node = "edgeflow-plant_1-l3-s2"
    assert sorted(documents) == [
        f"ha/binary_sensor/{node}/camera_C_1/config", f"ha/binary_sensor/{node}/camera_top/config",
        f"ha/sensor/{node}/bundle/config", f"ha/sensor/{node}/state/config",
        f"ha/sensor/{node}/verdict/config",
    ]  # fmt: skip
    assert len({entity["unique_id"] for entity in documents.values()}) == 5
    root = "edgeflow/v1/plant.1/l3/s2"
    assert {entity["state_topic"] for entity in documents.values()} == {
        f"{root}/state", f"{root}/decision", f"{root}/birth", f"{root}/camera/top/status",
        f"{root}/camera/C.1/status",
    }  # fmt: skip
    for entity in documents.values():
        assert entity["availability"][0]["topic"] == f"{root}/availability"
        assert entity["device"]["identifiers"] == [node]


def test_every_entity_names_itself_for_old_and_new_versions_of_home_assistant() -> None:
    documents = discovery(box(home_assistant={"prefix": "ha"}))
    for topic, entity in documents.items():
        component = topic.split("/")[1]
        domain, _, name = entity["default_entity_id"].partition(".")
        assert domain == component
        assert name == entity["object_id"].lower().replace("-", "_")
        assert name.replace("_", "").isalnum()
    assert len({entity["default_entity_id"] for entity in documents.values()}) == 5
