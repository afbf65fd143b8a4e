"""Values that several sections of a box file share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edgeflow.contracts.documents.document import Text

__all__ = ["Address", "Milliseconds", "PolicyVerdict", "host_and_port"]

Address = Annotated[
    str,
    Text(pattern=r"^[^\s/@]+:[0-9]{1,5}$", words="an address and a port, such as 127.0.0.1:8088"),
]

Milliseconds = Annotated[float, Field(gt=0, le=3_600_000)]
PolicyVerdict = Literal["undecided", "ng"]


def host_and_port(address: str) -> tuple[str, int]:
    """Return host and port of an :data:`Address`; an IPv6 address comes without its brackets.

    Raises:
        ValueError: there is no such port.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{address}: give an address and a port up to 65535, such as 127.0.0.1:9108")
    return host.strip("[]"), int(port)
