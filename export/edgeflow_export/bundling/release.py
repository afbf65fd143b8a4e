"""What a bundle is released as: its version, the boxes it is for, until when, and who signs for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["Release"]


@dataclass(frozen=True, kw_only=True)
class Release:
    """See the manifest's fields of the same names.

    Attributes:
        signer: None for an unsigned bundle.
    """

    version: int = 0
    device_class: str | None = None
    expires: datetime | None = None
    signer: Ed25519PrivateKey | None = None
