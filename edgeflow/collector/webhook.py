"""Webhook: committed results posted to a web address, signed, until they are taken."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import logging
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from edgeflow.change_log import ChangeLog
from edgeflow.collector.settings import WebhookConfig
from edgeflow.collector.stores.store import Posting, RowRefusedError, Store, StoreUnavailableError
from edgeflow.errors import ConfigError
from edgeflow.security.secret_file import read_secret_bytes
from edgeflow.security.shared_secrets import MIN_SECRET

__all__ = ["Webhook", "post", "read_webhook_secret", "signature"]

logger = logging.getLogger(__name__)

_AT_ONCE = 20
_IDLE_S = 1.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 5.0, 3600.0
_MOST_DOUBLINGS = 10

Post = Callable[[bytes, str], str]
"""Posts a body with a result id; returns why it was not taken, empty where it was."""


class Webhook:
    """A thread that posts what the database says is due, one after the other.

    The list of what is to be posted is written with the results, in the same transaction, so that nothing is
    forgotten when a collector is killed; a result may then be posted twice, and its receiver tells copies by
    ``result_id``. A receiver that is slow or away delays postings, never commits.

    Args:
        store: of its own, since a store is for one thread.
        send: see :data:`Post`.
    """

    def __init__(self, store: Store, config: WebhookConfig, send: Post) -> None:
        self._store = store
        self._config = config
        self._send = send
        self._problems = ChangeLog(logger, f"webhook {config.url}: ")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhook", daemon=True)

    def start(self) -> None:
        """Start the thread; return at once."""
        self._thread.start()

    def stop(self, patience_s: float) -> None:
        """End after the posting in hand."""
        self._stopping.set()
        self._thread.join(patience_s)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                if self.post_due(datetime.now(UTC)):
                    continue
            except (StoreUnavailableError, RowRefusedError) as cause:  # the writer tells it
                logger.debug("webhook: %s", cause)
            except Exception:  # postings must not stay for want of this thread
                logger.exception("webhook: failed; it is tried again")
            self._stopping.wait(_IDLE_S)
        self._store.close()

    def post_due(self, now: datetime) -> int:
        """Post what is due; return how many were taken."""
        taken = 0
        for posting in self._store.postings(now, _AT_ONCE):
            if self._stopping.is_set():
                return taken
            problem = self._send(posting.document.encode(), posting.result_id) if posting.document else ""
            if not problem:
                self._store.posted([posting.result_id])
                self._problems.clear()
                taken += 1
            else:
                self._not_taken(posting, problem, now)
        return taken

    def _not_taken(self, posting: Posting, problem: str, now: datetime) -> None:
        self._problems.report(f"does not take results: {problem}; they are posted again")
        if now - posting.made_at > timedelta(hours=self._config.max_hours):
            logger.error("webhook: result %s is no longer posted: %s", posting.result_id, problem)
            self._store.posted([posting.result_id])
            return
        pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(posting.attempts, _MOST_DOUBLINGS))
        self._store.postpone(posting.result_id, posting.attempts + 1, now + timedelta(seconds=pause_s))


def read_webhook_secret(config: WebhookConfig) -> bytes:
    """Read the secret of the signature.

    Raises:
        ConfigError: the file cannot be used; its content is not repeated.
    """
    try:
        secret = read_secret_bytes(config.secret_file).strip()
    except OSError as cause:
        raise ConfigError(f"webhook.secret_file {config.secret_file}: {cause.strerror}") from cause
    if len(secret) < MIN_SECRET:
        raise ConfigError(f"webhook.secret_file {config.secret_file}: needs at least {MIN_SECRET} bytes")
    return secret


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """Return the signature of a posting: HMAC-SHA256 over the time, a full stop and the body, in hex."""
    return "sha256=" + hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def post(config: WebhookConfig, secret: bytes, body: bytes, result_id: str) -> str:
    """Post one result; return why it was not taken, empty where it was. Redirections are not followed."""
    timestamp = str(int(datetime.now(UTC).timestamp()))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "edgeflow-collector",
        "X-Edgeflow-Result-Id": result_id,
        "X-Edgeflow-Timestamp": timestamp,
        "X-Edgeflow-Signature": signature(secret, timestamp, body),
    }
    request = urllib.request.Request(config.url, data=body, headers=headers, method="POST")  # noqa: S310 - http(s)
    try:
        with _OPENER.open(request, timeout=config.timeout_s):
            return ""
    except urllib.error.HTTPError as answer:
        answer.close()
        return f"it answers {answer.code} {answer.reason}"
    except (OSError, http.client.HTTPException, ValueError) as cause:
        return str(getattr(cause, "reason", "") or cause or type(cause).__name__)


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """Follow none: the signature is for this address."""


_OPENER = urllib.request.build_opener(_NoRedirection)
