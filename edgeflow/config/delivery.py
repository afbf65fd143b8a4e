"""Where results go: broker, outbox and evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from edgeflow.contracts.documents.document import Document, Text

__all__ = [
    "EvidenceConfig",
    "HomeAssistantConfig",
    "MqttConfig",
    "OutboxConfig",
    "SealConfig",
    "StationConfig",
    "TlsConfig",
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
    """Where the box stands; names the MQTT topics."""

    site: TopicLevel
    line: TopicLevel
    station: TopicLevel


class TlsConfig(Document):
    """Files for an encrypted connection; ``cert`` and ``key`` together, for a client certificate."""

    ca: Path
    cert: Path | None = None
    key: Path | None = None

    @model_validator(mode="after")
    def _cert_with_key(self) -> TlsConfig:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key go together")
        return self


class SealConfig(Document):
    """What seals decisions: a secret shared with the controller (HMAC), or a private key (Ed25519)."""

    secret_file: Path | None = Field(default=None, description="at least 16 bytes")
    key_file: Path | None = Field(default=None, description="NAME.key.pem of 'edgeflow keys new'")

    @model_validator(mode="after")
    def _one_of_both(self) -> SealConfig:
        if (self.secret_file is None) == (self.key_file is None):
            raise ValueError("either secret_file or key_file")
        return self


class HomeAssistantConfig(Document):
    """Entities appear in Home Assistant by themselves."""

    prefix: TopicRoot = "homeassistant"


class MqttConfig(Document):
    """The broker. Secrets come from a file, never from this one."""

    host: HostName
    port: int = Field(default=1883, ge=1, le=65535)
    version: Literal["5", "3.1.1"] = "5"
    keepalive_s: int = Field(default=5, ge=1, le=3600)
    root: TopicRoot | None = Field(
        default=None, description="topic root; default edgeflow/v1/{site}/{line}/{station}"
    )
    client_id: str | None = None
    username: str | None = None
    password_file: Path | None = None
    password_env: str | None = Field(
        default=None, min_length=1, description="name of the environment variable that holds the password"
    )
    tls: TlsConfig | None = None
    seal: SealConfig | None = Field(default=None, description="decisions carry a signature")
    home_assistant: HomeAssistantConfig | None = None


class OutboxConfig(Document):
    """Results wait here until they are delivered."""

    path: Path
    confirm: Literal["consumer", "broker"] = Field(
        default="consumer", description="who lets a result go: the consumer's ack, or the broker's"
    )
    max_rows: int = Field(
        default=1_000_000, gt=0, description="beyond it, the oldest OK results are dropped first, NG last"
    )
    max_mb: float = Field(default=256, ge=1, description="the same, by size")
    max_age_h: float = Field(
        default=72, gt=0, description="results are dropped after so many hours of the box's running time"
    )


class EvidenceConfig(Document):
    """Images and maps kept per part."""

    dir: Path
    save: tuple[Literal["OK", "NG", "UNDECIDED"], ...] = ("NG", "UNDECIDED")
    ok_sample: float = Field(default=0.0, ge=0, le=1, description="share of OK parts that are kept, too")
    max_gb: float | None = Field(default=None, gt=0, description="beyond it, the oldest parts are removed")
    max_days: float | None = Field(
        default=None, gt=0, description="parts are removed after so many days of the box's running time"
    )
    queue_mb: float = Field(
        default=256,
        gt=0,
        description="images that may wait in memory for a slow disk; one part may always wait",
    )
    min_free_gb: float = Field(
        default=1.0,
        ge=0,
        description="below this much free disk, the oldest parts are removed; without any, nothing is kept",
    )
