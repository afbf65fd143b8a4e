"""Section ``metrics``: figures of the running box for Prometheus, and over MQTT."""

from __future__ import annotations

from pydantic import Field, field_validator

from edgeflow.config.units import Address, host_and_port
from edgeflow.contracts.documents.document import Document

__all__ = ["MetricsConfig"]


class MetricsConfig(Document):
    """Figures of the running box, for Prometheus and over MQTT."""

    listen: Address | None = Field(
        default=None,
        description="address and port where Prometheus reads the metrics, such as 127.0.0.1:9108; without "
        "encryption and without users; default: nowhere",
    )
    every_s: float = Field(
        default=60, ge=1, description="seconds between two messages on the MQTT topic metrics"
    )

    @field_validator("listen")
    @classmethod
    def _port_exists(cls, value: str | None) -> str | None:
        if value is not None:
            host_and_port(value)
        return value
