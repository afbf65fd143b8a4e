"""TLS for streams: the camera's certificate is verified before anything is sent."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from edgeflow.config.box import RtspConfig
from edgeflow.errors import CameraError

__all__ = ["STREAM_PORTS", "certificate_problem", "tls_options"]

STREAM_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}

# Nothing that a camera answers (a redirection, a playlist) may lead to another kind of connection.
_PROTOCOLS = {
    "rtsp": "rtp,tcp,udp",
    "rtsps": "rtp,tls,tcp,udp",
    "http": "http,tcp",
    "https": "https,tls,tcp",
}


def tls_options(config: RtspConfig, name: str) -> dict[str, str]:
    """FFmpeg's options for a stream: which protocols it may use, and how certificates are verified.

    FFmpeg verifies chain, dates and name (host or IP address) while it connects, before any password is sent.

    Args:
        name: of the camera, for messages.

    Raises:
        CameraError: there are no authorities to verify a certificate with.
    """
    scheme = urlsplit(config.url).scheme
    options = {"protocol_whitelist": _PROTOCOLS[scheme]}
    if not config.encrypted:
        return options
    if config.tls.insecure_skip_verify:
        return {**options, "tls_verify": "0"}
    authorities = _authorities(config)
    if authorities is None or not authorities.is_file():
        raise CameraError(
            f"{name}: {authorities or 'the system'} holds no certificates to verify the camera's with; "
            "check tls.ca"
        )
    return {**options, "tls_verify": "1", "ca_file": str(authorities)}


def certificate_problem(config: RtspConfig, timeout_s: float) -> str:
    """Return the reason not to trust a camera's certificate; empty if trusted, or out of reach."""
    parts = urlsplit(config.url)
    authorities = _authorities(config)
    if not config.encrypted or config.tls.insecure_skip_verify or parts.hostname is None:
        return ""
    try:
        context = ssl.create_default_context(cafile=None if authorities is None else str(authorities))
        address = parts.hostname, parts.port or STREAM_PORTS[parts.scheme]
        with (
            socket.create_connection(address, timeout=timeout_s) as plain,
            context.wrap_socket(plain, server_hostname=parts.hostname),
        ):
            return ""
    except ssl.SSLCertVerificationError as cause:
        return (
            f"its certificate is not trusted: {cause.verify_message}; give the certificate of its authority "
            "as tls.ca, or give the camera one for the host in its url"
        )
    except (OSError, ValueError):
        return ""


def _authorities(config: RtspConfig) -> Path | None:
    """The file of certificates to verify with: the box file's, or the system's."""
    if config.tls.ca is not None:
        return config.tls.ca
    paths = ssl.get_default_verify_paths()
    file = paths.cafile or paths.openssl_cafile
    return Path(file) if file else None
