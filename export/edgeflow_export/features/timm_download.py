"""Weights that timm downloads: found on this machine, or known to be out of reach before anything waits."""

from __future__ import annotations

import os
import socket
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edgeflow.errors import ConfigError

__all__ = ["cached_weights", "require_reachable"]

_PATIENCE_S = 5.0
_HUB = "https://huggingface.co"
_FILES = ("model.safetensors", "pytorch_model.bin")


def cached_weights(config: Any) -> Path | None:
    """The file that an earlier download left; None where there is none that holds a state dict.

    Args:
        config: timm's ``PretrainedCfg``.
    """
    if not config.hf_hub_id or config.custom_load:
        return None
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415 - comes with timm

    names = (config.hf_hub_filename,) if config.hf_hub_filename else _FILES
    found = (try_to_load_from_cache(config.hf_hub_id, name) for name in names)
    return next((Path(path) for path in found if isinstance(path, str)), None)


def require_reachable(model: str, config: Any) -> None:
    """Check in seconds that the server of a model's weights, or the proxy on the way, takes connections.

    Raises:
        ConfigError: it does not, or the machine is told to stay offline.
    """
    source = os.environ.get("HF_ENDPOINT", _HUB) if config.hf_hub_id else config.url
    if not source:
        raise ConfigError(
            f"extractor.model: nobody publishes weights of '{model}'; name a file as extractor.weights"
        )
    told_offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
    why = "HF_HUB_OFFLINE is set" if told_offline else _failure(source)
    if why:
        raise ConfigError(
            f"extractor.model: the weights of '{model}' are not on this machine and cannot be fetched from "
            f"{urlsplit(source).hostname}: {why}; download them elsewhere and name the "
            "file as extractor.weights"
        )


def _failure(source: str) -> str:
    """Return the reason why there is no connection; empty if there is one."""
    wanted = urlsplit(source)
    proxy = urllib.request.getproxies().get(wanted.scheme)
    if proxy and not urllib.request.proxy_bypass(wanted.hostname or ""):
        wanted = urlsplit(proxy if "//" in proxy else f"http://{proxy}")
    port = wanted.port or (443 if wanted.scheme == "https" else 80)
    try:
        socket.create_connection((wanted.hostname or "", port), timeout=_PATIENCE_S).close()
    except OSError as cause:
        return cause.strerror or str(cause)
    return ""
