"""The collector's YAML file as frozen models."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from edgeflow.config.delivery import BrokerConfig, TopicLevel
from edgeflow.config.monitoring import LogConfig
from edgeflow.config.units import Address, host_and_port
from edgeflow.contracts.documents.document import Document, Text, parse_document
from edgeflow.contracts.documents.paths import against, named_in_text
from edgeflow.contracts.documents.strict_yaml import read_yaml
from edgeflow.contracts.messages import VerdictName
from edgeflow.errors import ConfigError

__all__ = [
    "BatchConfig",
    "CollectorConfig",
    "CollectorMqttConfig",
    "PostgresqlConfig",
    "RetentionConfig",
    "SqliteConfig",
    "StoreConfig",
    "WebhookConfig",
    "load_collector_config",
]

TopicFilter = Annotated[
    str,
    Text(
        pattern=r"^([^/+#\s\x00$]+|\+)(/([^/+#\s\x00$]+|\+))*$",
        words="topic levels separated by single slashes, where + stands for any one level",
    ),
]
_PASSWORD = re.compile(r"password\s*=|^[a-z]+://[^/@\s]*:[^/@\s]*@", re.IGNORECASE)


class CollectorMqttConfig(BrokerConfig):
    """The broker of all boxes of this collector. Secrets come from a file, never from this one."""

    client_id: str | None = Field(
        default=None, description="the collector's MQTT client id; default: edgeflow-collector-{name}"
    )

    @model_validator(mode="after")
    def _speaks_mqtt_5(self) -> CollectorMqttConfig:
        if self.version != "5":
            raise ValueError("version: a collector needs MQTT 5, for shared subscriptions; leave it out")
        return self


class SqliteConfig(Document):
    """A database file on this computer; for one collector."""

    kind: Literal["sqlite"] = Field(description="an SQLite file")
    path: Path = Field(description="the database file; made where there is none")


class PostgresqlConfig(Document):
    """A PostgreSQL server from version 13 on, for any number of collectors; needs the extra collector."""

    kind: Literal["postgresql"] = Field(description="a PostgreSQL server")
    connection: str = Field(
        min_length=1,
        description="libpq's connection string without a password, such as 'host=db.plant.example "
        "dbname=quality user=edgeflow sslmode=verify-full sslrootcert=/etc/edgeflow/db-ca.crt'",
    )
    password_file: Path | None = Field(
        default=None, description="file that holds the user's password alone; default: none, or ~/.pgpass"
    )
    db_schema: Annotated[
        str, Text(pattern=r"^[a-z_][a-z0-9_]{0,40}$", words="a name of small letters, digits and _")
    ] = Field(
        default="edgeflow", alias="schema", description="schema of all tables; made where there is none"
    )
    months_ahead: int = Field(
        default=2, ge=1, le=24, description="monthly partitions that are made before they are needed"
    )

    @field_validator("connection")
    @classmethod
    def _no_password(cls, value: str) -> str:
        if _PASSWORD.search(value):
            raise ValueError("holds a password; write it alone into a file, and name that as password_file")
        return value


StoreConfig = Annotated[SqliteConfig | PostgresqlConfig, Field(discriminator="kind")]


class BatchConfig(Document):
    """Results are committed together: as many as come within a time, up to a number."""

    max_rows: int = Field(default=2000, ge=1, le=100_000, description="results in one transaction at most")
    max_ms: float = Field(
        default=250, ge=1, le=10_000, description="milliseconds that a result waits for others at most"
    )


class RetentionConfig(Document):
    """Results are removed when they are old enough; PostgreSQL drops whole months."""

    days: float = Field(
        gt=0, description="days after which results are removed, by the moment of their decision"
    )


class WebhookConfig(Document):
    """Results are posted to a web address, signed, after they are committed."""

    url: Annotated[str, Text(pattern=r"^https?://[^\s@]+$", words="a web address without a user")] = Field(
        description="the address that takes POST requests with JSON"
    )
    secret_file: Path = Field(description="file with the secret for the signature (HMAC), at least 16 bytes")
    verdicts: tuple[VerdictName, ...] = Field(
        default=("NG", "UNDECIDED"), min_length=1, description="verdicts that are posted"
    )
    timeout_s: float = Field(default=5, gt=0, le=60, description="seconds to wait for an answer")
    max_hours: float = Field(
        default=72, gt=0, description="hours after which a result that was never taken is no longer tried"
    )


class CollectorMetricsConfig(Document):
    """Figures of the collector for Prometheus."""

    listen: Address | None = Field(
        default=None,
        description="address and port where Prometheus reads the metrics, such as 127.0.0.1:9109; without "
        "encryption and without users; default: nowhere",
    )

    @field_validator("listen")
    @classmethod
    def _port_exists(cls, value: str | None) -> str | None:
        if value is not None:
            host_and_port(value)
        return value


class CollectorConfig(Document):
    """One collector, whole."""

    name: TopicLevel | None = Field(
        default=None,
        description="the collector's name among those of its group; default: the computer's name",
    )
    group: TopicLevel = Field(
        default="collector",
        description="collectors of one group divide the results among them, into one database; there is one "
        "group for all boxes, since the first acknowledgement lets the box forget a result",
    )
    mqtt: CollectorMqttConfig
    topics: tuple[TopicFilter, ...] = Field(
        default=("edgeflow/v1/+/+/+",),
        min_length=1,
        description="first levels of the boxes' topics (mqtt.root of the box files); + stands for any level",
    )
    store: StoreConfig = Field(description="the database of all results")
    batch: BatchConfig = BatchConfig()
    memory_mb: float = Field(
        default=128,
        ge=4,
        description="megabytes of results that wait for the database; beyond it results are not taken, and "
        "their boxes send them again",
    )
    retention: RetentionConfig | None = Field(
        default=None, description="how long results are kept; default: for ever"
    )
    webhook: WebhookConfig | None = Field(
        default=None, description="results posted to a web address; default: none"
    )
    metrics: CollectorMetricsConfig = CollectorMetricsConfig()
    log: LogConfig = LogConfig()

    @property
    def collector_name(self) -> str:
        """The collector's name among those of its group."""
        return self.name or re.sub(r"[/+#\s\x00$]", "-", platform.node())[:64] or "collector"

    @property
    def client_id(self) -> str:
        """The MQTT client id."""
        return self.mqtt.client_id or f"edgeflow-collector-{self.collector_name}"


def load_collector_config(path: Path) -> CollectorConfig:
    """Read a collector's file; relative paths in it are relative to its folder.

    Raises:
        ConfigError: with every problem, each with its path, line and what is allowed.
    """
    data, lines = read_yaml(path)
    config = parse_document(CollectorConfig, data, what=str(path), error=ConfigError, lines=lines)
    return _absolute(config, named_in_text(path.resolve().parent))


def _absolute(config: CollectorConfig, base: Path) -> CollectorConfig:
    """Relative paths made absolute against the file's folder."""

    def resolved(value: object) -> object:
        if isinstance(value, Path):
            return against(base, value)
        if isinstance(value, Document):
            return value.model_copy(update={name: resolved(v) for name, v in value})
        return value

    result = resolved(config)
    if not isinstance(result, CollectorConfig):
        raise TypeError("a collector's configuration resolves to itself")
    return result
