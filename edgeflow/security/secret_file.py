"""Passwords and secrets in files, in the encodings that editors write."""

from __future__ import annotations

import codecs
from pathlib import Path

__all__ = ["read_password", "read_secret_bytes"]

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_password(path: Path) -> str:
    """Read a text file without byte-order mark and line end; UTF-8, or UTF-16 with its mark.

    Raises:
        OSError: it cannot be read.
        UnicodeDecodeError: it is no text; the error holds its bytes and must not be shown.
    """
    return _text(path.read_bytes()).rstrip("\r\n")


def read_secret_bytes(path: Path) -> bytes:
    """Read the bytes of a file without byte-order mark; text in UTF-16 becomes UTF-8.

    A secret may be any bytes: a mark counts as one only where what follows is text.

    Raises:
        OSError: it cannot be read.
    """
    raw = path.read_bytes()
    marked = raw.startswith((codecs.BOM_UTF8, *_UTF16))
    try:
        text = _text(raw) if marked else ""
    except UnicodeDecodeError:
        text = ""
    return text.encode() if text and text.strip().isprintable() else raw


def _text(raw: bytes) -> str:
    return raw.decode("utf-16") if raw.startswith(_UTF16) else raw.decode("utf-8-sig")
