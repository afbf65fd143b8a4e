"""Results are posted with a signature until they are taken; a receiver that is away delays only postings."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from edgeflow.collector.records import Received, read_row
from edgeflow.collector.settings import WebhookConfig
from edgeflow.collector.stores.store import Store
from edgeflow.collector.webhook import Webhook, post, read_webhook_secret, signature
from edgeflow.errors import ConfigError

AT = datetime(2026, 11, 29, 12, tzinfo=UTC)
SECRET = b"a secret of some bytes"


class Receiver(HTTPServer):
    """Answers every posting with one status, and keeps what came."""

    status = 204

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.came: list[tuple[dict[str, str], bytes]] = []


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Receiver)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.came.append((dict(self.headers), body))
        self.send_response(self.server.status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def webhook(store: Store, port: int) -> Webhook:
    config = WebhookConfig(url=f"http://127.0.0.1:{port}/results", secret_file=Path("none"))
    return Webhook(store, config, partial(post, config, SECRET))


def test_a_rejected_result_is_posted_with_a_signature(
    store: Store, receiver: Receiver, message: Callable[..., Received]
) -> None:
    store.write([read_row(message(number)) for number in range(3)], AT)
    assert webhook(store, receiver.server_port).post_due(AT) == 1
    ((headers, body),) = receiver.came
    assert headers["X-Edgeflow-Signature"] == signature(SECRET, headers["X-Edgeflow-Timestamp"], body)
    assert json.loads(body)["result_id"] == headers["X-Edgeflow-Result-Id"] == "session-000001"
    assert store.summary().postings == 0


@pytest.mark.parametrize("status", [500, 301, 404])
def test_a_result_that_is_not_taken_is_posted_again_later(
    store: Store, receiver: Receiver, message: Callable[..., Received], status: int
) -> None:
    receiver.status = status
    hook = webhook(store, receiver.server_port)
    store.write([read_row(message(1))], AT)
    assert hook.post_due(AT) == 0
    assert hook.post_due(AT + timedelta(seconds=4)) == 0
    assert len(receiver.came) == 1
    receiver.status = 200
    assert hook.post_due(AT + timedelta(seconds=6)) == 1


def test_a_receiver_that_is_away_is_tried_until_the_time_is_over(
    store: Store, message: Callable[..., Received], caplog: pytest.LogCaptureFixture
) -> None:
    hook = webhook(store, 1)
    store.write([read_row(message(1))], AT)
    hook.post_due(AT)
    assert store.summary().postings == 1
    assert "does not take results" in caplog.text
    hook.post_due(AT + timedelta(hours=73))
    assert store.summary().postings == 0
    assert "session-000001 is no longer posted" in caplog.text


def test_a_short_secret_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("short")
    with pytest.raises(ConfigError, match="at least 16 bytes"):
        read_webhook_secret(WebhookConfig(url="http://x", secret_file=tmp_path / "secret"))
