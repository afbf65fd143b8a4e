"""The page's process: listens, serves browsers, ends with SIGTERM or Ctrl+C."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn

from edgeflow.errors import UsageError
from edgeflow.web.app import make_app
from edgeflow.web.box_link import BoxLink
from edgeflow.web.settings import PageSettings

__all__ = ["serve_page"]

_MOST_AT_ONCE = 200
_END_S = 2


def serve_page(settings: PageSettings, ready: Callable[[str], None]) -> None:
    """Serve the page until a signal ends it.

    Args:
        ready: called with the page's address once it listens.

    Raises:
        UsageError: the address cannot be listened at, or the certificate cannot be used.
    """
    with BoxLink(settings.box.control_socket) as link, _listening(settings) as listener:
        config = uvicorn.Config(
            make_app(settings, link),
            log_level="warning",
            access_log=False,
            server_header=False,
            limit_concurrency=_MOST_AT_ONCE,
            timeout_graceful_shutdown=_END_S,
            ssl_certfile=settings.certificate,
            ssl_keyfile=settings.key,
            ws="none",
            lifespan="off",
        )
        try:
            config.load()
        except OSError as cause:
            raise UsageError(f"web.certificate, web.key: cannot be used: {cause}") from cause
        host, port = listener.getsockname()[:2]
        name = f"[{host}]" if ":" in host else host
        ready(f"{'https' if settings.secure else 'http'}://{name}:{port}")
        uvicorn.Server(config).run([listener])


def _listening(settings: PageSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=128)
    except OSError as cause:
        raise UsageError(
            f"{settings.host}:{settings.port}: cannot be listened at: {cause.strerror or cause}; end what "
            "uses it, or give another --listen"
        ) from cause
