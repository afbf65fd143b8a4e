"""HTTP server of the metrics: one page for Prometheus, on threads that nothing else waits for."""

from __future__ import annotations

import logging
import socket
import socketserver
import sys
import threading
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from edgeflow.alarms import Alarms
from edgeflow.change_log import ChangeLog
from edgeflow.config.units import host_and_port
from edgeflow.errors import UsageError, failure_text
from edgeflow.right_of_way import RightOfWay

__all__ = ["MetricsServer", "bound_socket"]

logger = logging.getLogger(__name__)

PATH = "/metrics"
_AT_ONCE = 4  # readers; more are turned away
_SLOWEST_S = 10.0  # a reader that neither asks nor reads for so long is cut
_AGAIN_S = 5.0
_LOOK_S = 0.2
_PATIENCE_S = 0.2  # for a part to be decided


def bound_socket(address: str) -> socket.socket:
    """Return a socket that owns the address of the metrics; it takes connections once the server starts.

    Raises:
        UsageError: the address belongs to another program, or not to this computer.
    """
    host, port = host_and_port(address)
    made = None
    try:
        family, kind, number, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind, number)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(place)
    except OSError as cause:
        if made is not None:
            made.close()
        raise UsageError(
            f"metrics.listen {address}: cannot be listened at: {cause.strerror or cause}; end what uses it, "
            "or give another address"
        ) from cause
    return made


class MetricsServer:
    """Answers ``GET /metrics`` while it is entered.

    What fails here is an alarm, and over with the next reading that succeeds; the line knows nothing of it.

    Args:
        listener: see :func:`bound_socket`; closed at the end.
    """

    def __init__(
        self, listener: socket.socket, registry: CollectorRegistry, alarms: Alarms, right_of_way: RightOfWay
    ) -> None:
        self._registry = registry
        self._alarms = alarms
        self._right_of_way = right_of_way
        self._problems = ChangeLog(logger, "metrics: ", logging.ERROR)
        self._server = _Server(listener, self)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics-http", daemon=True)

    def __enter__(self) -> MetricsServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()

    def page(self, accept: str) -> tuple[bytes, str] | None:
        """Return the page and its content type; None where it cannot be made, which is an alarm.

        Args:
            accept: the reader's header, which chooses between Prometheus' text and OpenMetrics.
        """
        self._right_of_way.give_way(_PATIENCE_S)
        try:
            encode, content_type = choose_encoder(accept)
            page = encode(self._registry)
        except Exception as cause:  # noqa: BLE001 - whatever it is, it costs a page of figures
            self._failed(f"the metrics cannot be made: {failure_text(cause)}")
            return None
        if self._problems.clear():
            self._alarms.clear("metrics_stopped")
        return page, content_type

    def _failed(self, problem: str) -> None:
        self._problems.report(problem)
        text = f"{problem}; parts are inspected as before; see the log"
        self._alarms.raise_("metrics_stopped", "warning", text)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._server.serve_forever(_LOOK_S)
            except Exception as cause:  # noqa: BLE001 - this thread must not end the box
                self._failed(f"the metrics are not served: {failure_text(cause)}")
                self._stop.wait(_AGAIN_S)


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 16

    def __init__(self, listener: socket.socket, pages: MetricsServer) -> None:
        super().__init__(listener.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.pages = pages
        self._free = threading.BoundedSemaphore(_AT_ONCE)
        self.server_activate()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer on a thread of its own; turn readers beyond the bound away."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer one reader."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - socketserver's
        """Pass over a reader that went."""
        logger.debug("a reader of the metrics went: %s", sys.exception())


class _Handler(BaseHTTPRequestHandler):
    timeout = _SLOWEST_S
    server_version = "edgeflow"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer a reader."""
        if not isinstance(self.server, _Server):
            raise TypeError("the handler of the metrics belongs to their server")
        if self.path.partition("?")[0] != PATH:
            self.send_error(404, "only /metrics is here")
            return
        made = self.server.pages.page(self.headers.get("Accept", ""))
        if made is None:
            self.send_error(500, "the metrics cannot be made; see the box's log")
            return
        page, content_type = made
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Say nothing of requests."""
