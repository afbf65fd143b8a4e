"""Settings of the OPC UA server from the box file."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

from edgeflow.config.box import BoxConfig, OpcUaConfig
from edgeflow.config.units import host_and_port
from edgeflow.errors import UsageError
from edgeflow.security.users import Users

__all__ = ["ServerSettings", "server_settings"]

_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared, not listened at


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """Settings of one OPC UA server.

    Attributes:
        box: the box file.
        section: its section about OPC UA.
        host, port: to listen at.
        folder: certificates of the server and of its clients.
        names: host names and IP addresses for the server's certificate.
    """

    box: BoxConfig
    section: OpcUaConfig
    host: str
    port: int
    folder: Path
    users: Users
    names: tuple[str, ...]

    @property
    def application_uri(self) -> str:
        """Name of this server among all applications, also in its certificate."""
        return f"urn:edgeflow:{self.box.device_name}"


def server_settings(config: BoxConfig, listen: str | None = None) -> ServerSettings:
    """Return the settings of the server.

    Args:
        listen: address and port instead of those of the box file.

    Raises:
        UsageError: there is no section, no such address, or nobody may log in.
        StorageError: the file of users cannot be read.
    """
    section = config.opcua
    if section is None and listen is None:
        raise UsageError(
            "the box file has no section opcua: add 'opcua: {listen: 0.0.0.0:4840}', or give --listen"
        )
    section = section or OpcUaConfig()
    try:
        host, port = host_and_port(listen or section.listen)
    except ValueError as cause:
        raise UsageError(f"opcua.listen: {cause}") from cause
    users = Users(config.web_users_path)
    if not users.all() and not section.anonymous:
        raise UsageError(
            "the OPC UA server has no users: add one with 'edgeflow opcua BOX --add-user NAME --role viewer' "
            "(or operator, which may also start, stop and choose products)"
        )
    own = (host,) if host not in _EVERYWHERE else ()
    names = dict.fromkeys((socket.gethostname(), *own, *section.names))
    return ServerSettings(
        box=config,
        section=section,
        host=host,
        port=port,
        folder=config.opcua_path,
        users=users,
        names=tuple(names),
    )
