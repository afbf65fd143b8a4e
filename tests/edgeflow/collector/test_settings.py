"""The collector's file: what it needs, and its mistakes in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.collector.settings import PostgresqlConfig, SqliteConfig, load_collector_config
from edgeflow.errors import ConfigError

SHORT = "mqtt: {host: broker}\nstore: {kind: sqlite, path: results.db}\n"


def write(folder: Path, text: str) -> Path:
    file = folder / "collector.yaml"
    file.write_text(text)
    return file


def test_a_file_needs_a_broker_and_a_database(tmp_path: Path) -> None:
    config = load_collector_config(write(tmp_path, SHORT))
    assert isinstance(config.store, SqliteConfig)
    assert config.store.path == tmp_path / "results.db"
    assert config.topics == ("edgeflow/v1/+/+/+",)
    assert config.client_id == f"edgeflow-collector-{config.collector_name}"


def test_postgresql_has_its_own_keys(tmp_path: Path) -> None:
    text = "mqtt: {host: b}\nstore: {kind: postgresql, connection: host=db dbname=q, schema: quality}\n"
    config = load_collector_config(write(tmp_path, text))
    assert isinstance(config.store, PostgresqlConfig)
    assert config.store.db_schema == "quality"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("mqtt: {host: b}\n", "store: required key is missing"),
        (SHORT + "topics: ['edgeflow/#']\n", "topic levels separated by single slashes"),
        (SHORT + "topics: ['$share/a/b']\n", "topic levels"),
        (SHORT + "group: a/b\n", "group"),
        (SHORT.replace("broker", "broker, version: 3.1.1"), "version"),
        ("mqtt: {host: b}\nstore: {kind: mysql, path: x}\n", "store"),
        (
            "mqtt: {host: b}\nstore: {kind: postgresql, connection: 'host=db password=x'}\n",
            "holds a password",
        ),
        (
            "mqtt: {host: b}\nstore: {kind: postgresql, connection: 'postgresql://u:p@db/q'}\n",
            "holds a password",
        ),
        (SHORT + "webhook: {url: ftp://x, secret_file: s}\n", "a web address"),
        (SHORT + "metrics: {listen: '127.0.0.1:99999'}\n", "metrics.listen"),
        (SHORT + "colour: red\n", "colour"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_collector_config(write(tmp_path, text))
    assert problem in str(caught.value)
    assert "password=x" not in str(caught.value)
