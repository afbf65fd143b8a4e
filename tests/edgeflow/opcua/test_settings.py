"""Settings of the OPC UA server: nobody gets in unless somebody was let in."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.config.box import load_config
from edgeflow.errors import UsageError
from edgeflow.opcua.settings import server_settings
from edgeflow.security.users import add_user
from simulators.small_box import write_box


def test_a_server_needs_a_section_and_users(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no section opcua: add"):
        server_settings(load_config(write_box(tmp_path, 1)))
    config = load_config(write_box(tmp_path, 1, opcua={"listen": "0.0.0.0:4840", "names": ["box7"]}))
    with pytest.raises(UsageError, match="no users: add one with 'edgeflow opcua BOX --add-user"):
        server_settings(config)
    add_user(config.web_users_path, "vera", "viewer", "long enough")
    settings = server_settings(config)
    assert (settings.host, settings.port) == ("0.0.0.0", 4840)  # noqa: S104
    assert settings.names[1:] == ("box7",)
    assert settings.application_uri == "urn:edgeflow:edgeflow-plant-l1-s1"
    assert settings.folder == tmp_path / "state" / "opcua"
    with pytest.raises(UsageError, match=r"opcua\.listen"):
        server_settings(config, "127.0.0.1:99999")


def test_reading_without_a_user_has_to_be_wanted(tmp_path: Path) -> None:
    config = load_config(write_box(tmp_path, 1, opcua={"anonymous": True}))
    assert server_settings(config).section.anonymous
