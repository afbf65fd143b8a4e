"""Files of a repository, from a web server or a folder: bounded in size, time and rate, and resumable."""

from __future__ import annotations

import contextlib
import os
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path

from tuf.api.exceptions import DownloadError, DownloadHTTPError, SlowRetrievalError
from tuf.ngclient.fetcher import FetcherInterface

from edgeflow import __version__
from edgeflow.errors import UsageError

__all__ = ["RepositoryFetcher", "repository_url"]

_TIMEOUT_S = 15.0
_CHUNK = 65_536
_LEAST_BYTES_S = 1000  # a server that sends less holds us up
_GRACE_S = 30.0
_NOT_FOUND = 404
_RANGE = 206


def repository_url(repository: str | Path) -> str:
    """Return the address of a repository, without a slash at its end.

    Raises:
        UsageError: a folder that is not there.
    """
    if isinstance(repository, str):
        return repository.rstrip("/")
    if not repository.is_dir():
        raise UsageError(f"fleet.repository {repository}: no such folder; is the stick in its place?")
    return repository.resolve().as_uri()


class RepositoryFetcher(FetcherInterface):
    """Fetches whole files for TUF, and the rest of a file that was begun.

    Args:
        ca: certificates that the server's is verified by; None: the system's.
        rate_kb_s: most kilobytes a second; None: no limit.
        turn: called before each chunk; raises where the download is to end.

    Raises:
        UsageError: ``ca`` is no certificate.
    """

    def __init__(
        self, *, ca: Path | None, rate_kb_s: float | None, turn: Callable[[], None] = lambda: None
    ) -> None:
        self._rate_kb_s, self._turn = rate_kb_s, turn
        try:
            context = ssl.create_default_context(cafile=None if ca is None else str(ca))
        except OSError as cause:
            raise UsageError(f"fleet.ca {ca}: not a certificate that can be used: {cause}") from cause
        # No proxy of the environment: the box talks to nobody that its file does not name.
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )

    def _fetch(self, url: str) -> Iterator[bytes]:
        return self.rest(url, 0)

    def rest(self, url: str, begun: int) -> Iterator[bytes]:
        """Yield a file from a byte on; from its first one where the server cannot do that, see ``begun``.

        Raises:
            DownloadError: it cannot be fetched, or comes too slowly.
        """
        if url.startswith("file:"):
            return self._paced(_file_chunks(url, begun))
        return self._paced(self._http_chunks(url, begun))

    def _http_chunks(self, url: str, begun: int) -> Iterator[bytes]:
        request = urllib.request.Request(  # noqa: S310 - http or https, by the box file's rule
            url, headers={"User-Agent": f"edgeflow/{__version__}"}
        )
        if begun:
            request.add_header("Range", f"bytes={begun}-")
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as answer:
                if begun and answer.status != _RANGE:  # it sends all of it again
                    _skip(answer.read, begun)
                while chunk := answer.read(_CHUNK):
                    yield chunk
                if answer.length:  # read() of so many bytes takes an early end for the end
                    raise DownloadError(f"{url}: cut off, {answer.length} bytes are missing")
        except urllib.error.HTTPError as cause:
            raise DownloadHTTPError(f"{url}: HTTP {cause.code}", cause.code) from cause
        except TimeoutError as cause:
            raise SlowRetrievalError(f"{url}: no answer for {_TIMEOUT_S:g} s") from cause
        except (OSError, HTTPException, ValueError) as cause:
            reason = cause.reason if isinstance(cause, urllib.error.URLError) else cause
            raise DownloadError(f"{url}: {reason}") from cause

    def _paced(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        begun_s, received = time.monotonic(), 0
        for chunk in chunks:
            self._turn()
            received += len(chunk)
            took_s = time.monotonic() - begun_s
            if took_s > _GRACE_S and self._rate_kb_s is None and received < took_s * _LEAST_BYTES_S:
                raise SlowRetrievalError(f"{received} bytes in {took_s:.0f} s")
            yield chunk
            if self._rate_kb_s is not None:
                ahead_s = received / (1000 * self._rate_kb_s) - (time.monotonic() - begun_s)
                time.sleep(max(0.0, ahead_s))


def _file_chunks(url: str, begun: int) -> Iterator[bytes]:
    path = Path(urllib.parse.unquote(urllib.parse.urlsplit(url).path))
    try:
        with path.open("rb") as file:
            file.seek(begun, os.SEEK_SET)
            while chunk := file.read(_CHUNK):
                yield chunk
    except FileNotFoundError as cause:
        raise DownloadHTTPError(f"{path}: no such file", _NOT_FOUND) from cause
    except OSError as cause:
        raise DownloadError(f"{path}: {cause.strerror}") from cause


def _skip(read: Callable[[int], bytes], count: int) -> None:
    with contextlib.suppress(StopIteration):
        while count > 0:
            got = len(read(min(count, _CHUNK)))
            if not got:
                return
            count -= got
