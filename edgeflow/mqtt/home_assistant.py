"""Home Assistant MQTT discovery: documents with which the entities of a box appear by themselves."""

from __future__ import annotations

import re
from typing import Any

from edgeflow import __version__
from edgeflow.config.box import BoxConfig
from edgeflow.contracts.topics import Topics

__all__ = ["discovery"]

_HERE = "{{ 'online' if value == 'online' else 'offline' }}"  # 'stopped' is a third word


def discovery(config: BoxConfig) -> dict[str, dict[str, Any]]:
    """Return retained documents by topic: the station's state, latest verdict, bundle and cameras.

    None where the box file does not ask for them.
    """
    if config.mqtt.home_assistant is None:
        return {}
    prefix = config.mqtt.home_assistant.prefix
    topics = Topics(root=config.topic_root)
    node = _identifier(config.device_name)
    station = config.station
    shared = {
        "availability": [{"topic": topics.availability, "value_template": _HERE}],
        "device": {
            "identifiers": [node],
            "name": f"Inspection {station.site} {station.line} {station.station}",
            "manufacturer": "edgeflow",
            "sw_version": __version__,
        },
        "origin": {"name": "edgeflow", "sw_version": __version__},
    }
    entities: dict[str, dict[str, Any]] = {
        "sensor/state": {"name": "State", "state_topic": topics.state, "value_template": _field("state")},
        "sensor/verdict": {
            "name": "Verdict",
            "state_topic": topics.decision,
            "value_template": _field("verdict"),
            "json_attributes_topic": topics.decision,
            "force_update": True,
        },
        "sensor/bundle": {
            "name": "Bundle", "state_topic": topics.birth, "value_template": _field("bundle.name"),
        },
    }  # fmt: skip
    for view in config.cameras:
        entities[f"binary_sensor/camera_{_identifier(view)}"] = {
            "name": f"Camera {view}",
            "device_class": "connectivity",
            "state_topic": topics.camera_status(view),
            "value_template": "{{ 'online' if value_json.status == 'online' else 'offline' }}",
            "payload_on": "online",
            "payload_off": "offline",
        }
    documents = {}
    for place, entity in entities.items():
        component, name = place.split("/")
        documents[f"{prefix}/{component}/{node}/{name}/config"] = {
            **entity, **shared, "unique_id": f"{node}_{name}",
            # Home Assistant takes the first from 2026.4 on, and the second before.
            "default_entity_id": f"{component}.{node}_{name}".lower().replace("-", "_"),
            "object_id": f"{node}_{name}",
        }  # fmt: skip
    return documents


def _field(path: str) -> str:
    return f"{{{{ value_json.{path} }}}}"


def _identifier(name: str) -> str:
    """Return a text with only what Home Assistant allows in a topic level."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)
