"""A paho client from the settings of a box, and connection failures in plain words."""

from __future__ import annotations

import os
import socket
import ssl
import sys
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from edgeflow.config.delivery import BrokerConfig, TlsConfig
from edgeflow.errors import ConfigError
from edgeflow.mqtt.broker.answers import Settings
from edgeflow.security.secret_file import read_password

__all__ = ["check_files", "connect_failure", "new_client"]

_CONNECT_TIMEOUT_S = 5.0
_USER_TIMEOUT_MS = 2000  # a partition is noticed after this, not after minutes of kernel retries


def check_files(config: BrokerConfig) -> None:
    """Refuse settings with which no connection is possible.

    Raises:
        ConfigError: every file of the section that is missing, and a password without a user.
    """
    files: dict[str, Path | None] = {"password_file": config.password_file}
    if config.tls:
        files |= {"tls.ca": config.tls.ca, "tls.cert": config.tls.cert, "tls.key": config.tls.key}
    problems = [
        f"mqtt.{name}: no such file: {path}" for name, path in files.items() if path and not path.is_file()
    ]
    if config.password_file and config.password_env:
        problems.append("mqtt.password_file, mqtt.password_env: one of them")
    if (config.password_file or config.password_env) and not config.username:
        problems.append("mqtt.password_file, mqtt.password_env: go with mqtt.username")
    if config.password_env and config.password_env not in os.environ:
        problems.append(f"mqtt.password_env: the environment has no variable {config.password_env}")
    if problems:
        raise ConfigError("the broker cannot be reached with these settings", problems=problems)


def new_client(config: BrokerConfig, client_id: str, *, reconnects: bool = False) -> paho.Client:
    """Return a client for one connection; secrets and certificates are read now.

    Args:
        reconnects: for many connections instead, and driven by paho itself.

    Raises:
        ConfigError: a password or TLS file cannot be used; names the setting.
    """
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        protocol=paho.MQTTv5 if config.version == "5" else paho.MQTTv311,
        reconnect_on_failure=reconnects,
    )
    client.connect_timeout = _CONNECT_TIMEOUT_S
    client.on_socket_open = _tune_socket
    # With this set, publish() only queues: two threads that write to one socket can tear a packet apart.
    if not reconnects:
        client.on_socket_register_write = _leave_writing_to_the_loop
    if config.username:
        client.username_pw_set(config.username, _password(config))
    if config.tls:
        _encrypt(client, config.tls)
    return client


def connect_failure(cause: Exception, settings: Settings) -> str:
    """Return why no connection was made, and what to check."""
    if isinstance(cause, socket.gaierror):
        return f"name not found; check {settings.address}"
    if isinstance(cause, ConnectionRefusedError):
        return f"nothing listens there; start the broker, or check {settings.address}"
    if isinstance(cause, TimeoutError):
        return f"no answer within {_CONNECT_TIMEOUT_S:g} s; check the network and {settings.address}"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {cause.verify_message}; check {settings.tls}"
    if isinstance(cause, ssl.SSLError):
        return f"no encrypted connection: {cause.reason or cause}; check {settings.tls}"
    return f"{cause}; check the network and {settings.address}"


def _password(config: BrokerConfig) -> str | None:
    if config.password_env is not None:
        return os.environ.get(config.password_env)
    path = config.password_file
    if path is None:
        return None
    try:
        return read_password(path)
    except (OSError, UnicodeDecodeError) as cause:
        # The error text of a decoding error would hold the password's bytes.
        why = cause.strerror if isinstance(cause, OSError) else "not UTF-8 text"
        raise ConfigError(f"mqtt.password_file {path}: cannot be read: {why}") from None


def _encrypt(client: paho.Client, tls: TlsConfig) -> None:
    try:
        context = ssl.create_default_context(cafile=str(tls.ca))
    except OSError as cause:
        raise ConfigError(f"mqtt.tls.ca {tls.ca}: not a certificate that can be used: {cause}") from cause
    if tls.cert and tls.key:
        try:
            context.load_cert_chain(str(tls.cert), str(tls.key), password=_no_passphrase)
        except (OSError, ValueError) as cause:
            raise ConfigError(
                f"mqtt.tls.cert {tls.cert}, mqtt.tls.key {tls.key}: not a certificate with its key "
                f"(without a passphrase): {cause}"
            ) from cause
    client.tls_set_context(context)


def _no_passphrase() -> str:
    """Answer OpenSSL, which would otherwise ask on the terminal and wait for ever."""
    return ""


def _tune_socket(_client: paho.Client, _userdata: Any, sock: Any) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if sys.platform == "linux":
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS)


def _leave_writing_to_the_loop(_client: paho.Client, _userdata: Any, _sock: Any) -> None:
    """Do nothing: the thread that drives the client writes."""
