"""Sections of a box file about OPC UA and Modbus TCP, for controllers without MQTT."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from edgeflow.config.units import Address
from edgeflow.contracts.documents.document import Document

__all__ = ["ModbusConfig", "OpcUaConfig"]


class OpcUaConfig(Document):
    """The box's OPC UA server, which ``edgeflow opcua`` runs."""

    listen: Address = Field(
        default="127.0.0.1:4840", description="address and port of the server, such as 0.0.0.0:4840"
    )
    certificates: Path | None = Field(
        default=None,
        description="folder with the server's certificate (own), the clients that are trusted and those that "
        "were refused; default: opcua beside the outbox",
    )
    names: tuple[str, ...] = Field(
        default=(),
        description="host names and IP addresses for the server's certificate, under which clients reach it; "
        "the computer's name and the address of listen are in it anyway",
    )
    anonymous: bool = Field(
        default=False,
        description="true: clients with a trusted certificate may read without a user; methods need one",
    )
    clients: int = Field(default=10, ge=1, le=100, description="connections at a time, at most")
    results: int = Field(
        default=100, ge=1, le=1000, description="latest results that clients can ask for by id or as a list"
    )


class ModbusConfig(Document):
    """The box's Modbus TCP server, which ``edgeflow modbus`` runs; registers can be read, never written."""

    listen: Address = Field(
        default="127.0.0.1:502",
        description="address and port of the server; Modbus has neither users nor encryption, so listen in "
        "the machine's own network only",
    )
    clients: int = Field(default=8, ge=1, le=64, description="connections at a time, at most")
    fail_safe_ms: float = Field(
        default=1000.0,
        ge=500,
        le=10_000,
        description="milliseconds of silence of the box after which the register gate says reject; where the "
        "box's process ends, it says so at once",
    )
