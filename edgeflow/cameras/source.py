"""What a camera reads from, as text that may be shown: never with credentials."""

from __future__ import annotations

import re

from edgeflow.config import CameraConfig, ReplayConfig

__all__ = ["is_url", "public_source", "public_url"]

# Host and port only: user names, paths and queries are where cameras keep their passwords.
_HOST = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?:[^/?#@]*@)?(?P<host>[^/?#@]+)(?:[/?#][^@]*)?")


def is_url(source: str) -> bool:
    """Whether a source is a network stream."""
    return "://" in source


def public_url(source: str) -> str:
    """A URL reduced to scheme, host and port; other sources as they are."""
    if not is_url(source):
        return source
    match = _HOST.fullmatch(source)
    host = match["host"] if match else "…"
    return f"{source.partition('://')[0]}://{host}"


def public_source(config: CameraConfig) -> str:
    """What a camera reads from, fit for logs and messages."""
    return str(config.parts) if isinstance(config, ReplayConfig) else public_url(config.source)
