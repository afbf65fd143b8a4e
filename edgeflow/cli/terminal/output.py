"""Standard output and standard error that take every text, whatever the terminal's encoding; JSON lines."""

from __future__ import annotations

import codecs
import io
import json
import os
import sys

__all__ = ["print_json", "tolerate_any_output"]

_HANDLER = "edgeflow.plain"
_PLAIN = {
    "…": "...",
    "–": "-",
    "—": "-",
    "−": "-",
    "→": "->",
    "×": "x",
    "≥": ">=",
    "≤": "<=",
    "✓": "v",
    "✗": "x",
    "•": "*",
    "·": ".",
    "’": "'",
}


def tolerate_any_output() -> None:
    r"""Make sure that there is somewhere to write, and that no character can end a command.

    What the terminal's encoding lacks is written in plain letters, or as ``?``; bytes of a file name that is
    no UTF-8 as ``\xfc``.
    """
    codecs.register_error(_HANDLER, _plain)
    for number, name in ((0, "stdin"), (1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:  # closed by whoever started us; the number must not go to another file
            _occupy(number)
            mode = "r" if number == 0 else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - for good
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def print_json(data: object) -> None:
    """One JSON document on one line; a value that JSON does not have (NaN) is a programming error."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(data, allow_nan=False)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _occupy(number: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != number:
        os.dup2(nowhere, number)
        os.close(nowhere)


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_plainly, error.object[error.start : error.end])), error.end


def _plainly(character: str) -> str:
    if 0xDC80 <= ord(character) <= 0xDCFF:  # a byte that Python could not read
        return f"\\x{ord(character) - 0xDC00:02x}"
    return _PLAIN.get(character, "?")
