"""Sections ``station``, ``mqtt``, ``outbox`` and ``evidence``: the destinations of results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from edgeflow.contracts.documents.document import Document, Text

__all__ = [
    "BrokerConfig",
    "EvidenceConfig",
    "HomeAssistantConfig",
    "MqttConfig",
    "OutboxConfig",
    "SealConfig",
    "StationConfig",
    "TlsConfig",
    "UploadConfig",
]

TopicLevel = Annotated[
    str,
    Text(pattern=r"^[^/+#\s\x00$]{1,64}$", words="a name of 1 to 64 characters without spaces or / + # $"),
]
TopicRoot = Annotated[
    str,
    Text(
        pattern=r"^[^/+#\s\x00$]+(/[^/+#\s\x00$]+)*$",
        words="names separated by single slashes, without spaces or + # $",
    ),
]
HostName = Annotated[
    str, Text(pattern=r"^[^\s/@]+$", words="a host name or address alone, without mqtt:// and user")
]


class StationConfig(Document):
    """Place of the box in the plant; its names make the MQTT topics."""

    site: TopicLevel = Field(description="name of the site, the first level of the box's MQTT topics")
    line: TopicLevel = Field(description="name of the production line, the second level")
    station: TopicLevel = Field(description="name of the station on the line, the third level")


class TlsConfig(Document):
    """Files for an encrypted connection; ``cert`` and ``key`` together, for a client certificate."""

    ca: Path = Field(description="file with the certificate of the authority that signed the broker's")
    cert: Path | None = Field(
        default=None, description="file with the box's client certificate; goes with key"
    )
    key: Path | None = Field(default=None, description="file with the client certificate's private key")

    @model_validator(mode="after")
    def _cert_with_key(self) -> TlsConfig:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key go together")
        return self


class SealConfig(Document):
    """Signature on decisions: a secret shared with the controller (HMAC), or a private key (Ed25519)."""

    secret_file: Path | None = Field(
        default=None, description="file with the shared secret (HMAC), at least 16 bytes; or give key_file"
    )
    key_file: Path | None = Field(
        default=None,
        description="private key (Ed25519), NAME.key.pem of 'edgeflow keys new'; or give secret_file",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> SealConfig:
        if (self.secret_file is None) == (self.key_file is None):
            raise ValueError("either secret_file or key_file")
        return self


class HomeAssistantConfig(Document):
    """Entities appear in Home Assistant by themselves."""

    prefix: TopicRoot = Field(default="homeassistant", description="Home Assistant's discovery prefix")


class BrokerConfig(Document):
    """Connection to a broker. Secrets come from a file, never from this one."""

    host: HostName = Field(description="the broker's name or address")
    port: int = Field(default=1883, ge=1, le=65535, description="the broker's port; with tls usually 8883")
    version: Literal["5", "3.1.1"] = Field(default="5", description="version of the MQTT protocol")
    keepalive_s: int = Field(
        default=5,
        ge=1,
        le=3600,
        description="MQTT keep-alive in seconds; a broken connection is noticed after about 1.5 times as "
        "long",
    )
    client_id: str | None = Field(
        default=None, description="the box's MQTT client id; default: edgeflow-{site}-{line}-{station}"
    )
    username: str | None = Field(default=None, description="the broker's user; default: no login")
    password_file: Path | None = Field(default=None, description="file that holds the user's password alone")
    password_env: str | None = Field(
        default=None, min_length=1, description="name of the environment variable that holds the password"
    )
    tls: TlsConfig | None = Field(default=None, description="encrypted connection; default: none")


class MqttConfig(BrokerConfig):
    """The broker. Secrets come from a file, never from this one."""

    root: TopicRoot | None = Field(
        default=None, description="first levels of all topics; default: edgeflow/v1/{site}/{line}/{station}"
    )
    seal: SealConfig | None = Field(default=None, description="signature on every decision; default: none")
    home_assistant: HomeAssistantConfig | None = Field(
        default=None, description="discovery messages for Home Assistant; default: none"
    )


class OutboxConfig(Document):
    """Results wait here until they are delivered."""

    path: Path = Field(description="SQLite file that keeps results until they are delivered")
    confirm: Literal["consumer", "broker"] = Field(
        default="consumer",
        description="a result is removed when the consumer acknowledged it (consumer), or when the broker "
        "did (broker)",
    )
    max_rows: int = Field(
        default=1_000_000,
        gt=0,
        description="number of results that may wait; beyond it, the oldest OK results are dropped first, "
        "NG last",
    )
    max_mb: float = Field(
        default=256,
        ge=1,
        description="megabytes of results that may wait; beyond it, results are dropped as with max_rows",
    )
    max_age_h: float = Field(
        default=72, gt=0, description="results are dropped after so many hours of the box's running time"
    )


class UploadConfig(Document):
    """A store with the S3 interface, to which 'edgeflow evidence upload' brings the kept parts."""

    bucket: Annotated[
        str,
        Text(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", words="3 to 63 small letters, digits, dots or -"),
    ] = Field(description="name of the bucket; it is not made")
    endpoint: (
        Annotated[str, Text(pattern=r"^https?://[^\s/@]+$", words="a web address without a path")] | None
    ) = Field(
        default=None, description="address of the store, such as https://s3.plant.example; default: AWS"
    )
    region: str | None = Field(
        default=None, min_length=1, description="region of the bucket, where it has one"
    )
    prefix: TopicRoot | None = Field(
        default=None, description="beginning of all names in it; default: edgeflow/{site}/{line}/{station}"
    )
    credentials_file: Path | None = Field(
        default=None,
        description="file with the keys, in the form of AWS (section default); default: as boto3 finds",
    )
    ca: Path | None = Field(
        default=None, description="certificate authority of the store; default: the system's"
    )
    max_mbit_s: float = Field(default=20, gt=0, description="megabits a second that uploads take at most")


class EvidenceConfig(Document):
    """Images and maps kept per part."""

    dir: Path = Field(description="folder for images and maps, one folder per day and part")
    save: tuple[Literal["OK", "NG", "UNDECIDED"], ...] = Field(
        default=("NG", "UNDECIDED"), description="verdicts of the parts that are kept"
    )
    ok_sample: float = Field(
        default=0.0, ge=0, le=1, description="share of OK parts that are kept too; default: none"
    )
    max_gb: float | None = Field(
        default=None,
        gt=0,
        description="gigabytes of evidence; beyond it, the oldest parts are removed; default: no limit",
    )
    max_days: float | None = Field(
        default=None,
        gt=0,
        description="parts are removed after so many days of the box's running time; default: never",
    )
    queue_mb: float = Field(
        default=256,
        gt=0,
        description="megabytes of images that may wait in memory for a slow disk; one part may always wait",
    )
    min_free_gb: float = Field(
        default=1.0,
        ge=0,
        description="gigabytes of free disk below which the oldest parts are removed; when none are left, "
        "nothing is kept",
    )
    upload: UploadConfig | None = Field(
        default=None,
        description="store for 'edgeflow evidence upload', which runs beside the box; default: none",
    )
