"""Settings of the page from the box file, and the rules about who may reach it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from edgeflow.config.box import BoxConfig
from edgeflow.errors import UsageError
from edgeflow.security.users import Users

__all__ = ["PageSettings", "page_settings"]

_THIS_COMPUTER = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, kw_only=True)
class PageSettings:
    """Settings of one page.

    Attributes:
        box: the box file.
        host, port: to listen at.
        hosts: host names that a request may name; None: any.
        certificate, key: for TLS; None for plain HTTP, on this computer only.
    """

    box: BoxConfig
    host: str
    port: int
    users: Users
    hosts: frozenset[str] | None
    certificate: Path | None
    key: Path | None

    @property
    def secure(self) -> bool:
        """True if the page is served over TLS."""
        return self.certificate is not None


def page_settings(config: BoxConfig, listen: str | None = None) -> PageSettings:
    """Return the settings of the page.

    Args:
        listen: address and port instead of those of the box file.

    Raises:
        UsageError: the page would be open to others without users, or without encryption.
        StorageError: the file of users cannot be read.
    """
    web = config.web
    host, _, port = (listen or web.listen).rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"--listen {listen}: give an address and a port, such as 127.0.0.1:8088")
    users = Users(config.web_users_path)
    if not _is_this_computer(host):
        if not users.all():
            raise UsageError(
                f"the page cannot be served at {host} without users: add one with 'edgeflow web BOX "
                "--add-user NAME --role engineer', or listen at 127.0.0.1"
            )
        if web.certificate is None:
            raise UsageError(
                f"the page cannot be served at {host} without encryption: give web.certificate and web.key "
                "in the box file, or listen at 127.0.0.1"
            )
    hosts = frozenset((*_THIS_COMPUTER, *web.names)) if _is_this_computer(host) else _named(host, web.names)
    return PageSettings(
        box=config,
        host=host,
        port=int(port),
        users=users,
        hosts=hosts,
        certificate=web.certificate,
        key=web.key,
    )


def _named(host: str, names: tuple[str, ...]) -> frozenset[str] | None:
    """Return the allowed host names; any where the page listens at all addresses and no name is given."""
    if not names:
        return None
    return frozenset((host, *names, *_THIS_COMPUTER))


def _is_this_computer(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
