"""Addresses of cameras as text for logs and messages, without credentials."""

from __future__ import annotations

import re

from edgeflow.config.box import CameraConfig, FileConfig, GenicamConfig, ReplayConfig, RtspConfig

__all__ = ["public_source", "public_url"]

# Host and port only: user names, paths and queries are where cameras keep their passwords.
_HOST = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?:[^/?#@]*@)?(?P<host>[^/?#@]+)(?:[/?#][^@]*)?")


def public_url(url: str) -> str:
    """A URL reduced to scheme, host and port."""
    match = _HOST.fullmatch(url)
    host = match["host"] if match else "…"
    return f"{url.partition('://')[0]}://{host}"


def public_source(config: CameraConfig) -> str:
    """Return a camera's address without credentials, for logs and messages."""
    match config:
        case ReplayConfig():
            return str(config.parts)
        case FileConfig():
            return str(config.path)
        case RtspConfig():
            return public_url(config.url)
        case GenicamConfig():
            return config.address or f"serial {config.serial}"
        case _:
            return config.device
