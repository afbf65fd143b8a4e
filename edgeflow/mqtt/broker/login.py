"""Login at a broker for programs beside the box: address, user, certificates."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as paho

from edgeflow.config.delivery import MqttConfig, TlsConfig
from edgeflow.errors import ConfigError
from edgeflow.mqtt.broker.answers import Settings
from edgeflow.mqtt.client import check_files, new_client

__all__ = ["LOGIN_SETTINGS", "PASSWORD_VARIABLE", "BrokerUrl", "Login", "parse_url"]

PASSWORD_VARIABLE = "EDGEFLOW_MQTT_PASSWORD"  # noqa: S105 - the variable's name, not a secret
LOGIN_SETTINGS = Settings(
    address="host and port in the URL",
    credentials=f"user and password in the URL, or --username with --password-file or {PASSWORD_VARIABLE}",
    tls="mqtts:// in the URL, --ca, the host name and the port",
    client_id="the client id",
    version="the broker's MQTT version",
)


@dataclass(frozen=True, kw_only=True)
class BrokerUrl:
    """Address and user of a broker; the password is never shown."""

    host: str
    port: int
    tls: bool
    username: str | None
    password: str | None = field(repr=False)

    def __str__(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"


def parse_url(url: str) -> BrokerUrl:
    """Read ``mqtt[s]://[user[:password]@]host[:port]``; the environment may give the password.

    Raises:
        ConfigError: anything else; the text is not repeated, since it may hold a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as cause:
        raise ConfigError("the broker's URL has no usable port; write mqtt://host:1883") from cause
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
        raise ConfigError("the broker's URL is none; write mqtt://host:1883 or mqtts://host:8883")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ConfigError("the broker's URL ends after the port; topics are given apart from it")
    tls = parts.scheme == "mqtts"
    password = unquote(parts.password) if parts.password else os.environ.get(PASSWORD_VARIABLE)
    return BrokerUrl(
        host=parts.hostname,
        port=port or (8883 if tls else 1883),
        tls=tls,
        username=unquote(parts.username) if parts.username else None,
        password=password,
    )


@dataclass(frozen=True, kw_only=True)
class Login:
    """Everything that a connection needs, as in the ``mqtt`` section of a box file.

    Attributes:
        ca: certificate authority for ``mqtts``; the system's by default.
        cert, key: of the client, together.
    """

    url: BrokerUrl
    username: str | None = None
    password_file: Path | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def client(self, client_id: str, *, reconnects: bool = False) -> paho.Client:
        """Return a client that is not connected yet. It speaks MQTT 3.1.1, as every broker does.

        Args:
            reconnects: paho drives it (``loop_start``), and connects again whenever the connection is lost.

        Raises:
            ConfigError: a file is missing or cannot be used, or an option is without its companion.
        """
        url, username = self.url, self.username or self.url.username
        self._check(username)
        tls = TlsConfig(ca=self.ca, cert=self.cert, key=self.key) if self.ca else None
        config = MqttConfig(
            host=url.host,
            port=url.port,
            version="3.1.1",
            username=username,
            password_file=self.password_file,
            tls=tls,
        )
        check_files(config)
        client = new_client(config, client_id, reconnects=reconnects)
        if username and self.password_file is None:
            client.username_pw_set(username, url.password)
        if url.tls and tls is None:
            client.tls_set_context(ssl.create_default_context())
        return client

    def _check(self, username: str | None) -> None:
        problems = []
        if self.ca and not self.url.tls:
            problems.append("--ca: goes with mqtts:// in the URL")
        if (self.cert is None) != (self.key is None):
            problems.append("--cert, --key: go together")
        if self.cert and self.ca is None:
            problems.append("--cert: goes with --ca")
        if self.password_file and not username:
            problems.append("--password-file: goes with --username")
        if problems:
            raise ConfigError(f"{self.url}: cannot log in with these options", problems=problems)
