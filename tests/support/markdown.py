"""Fenced blocks of a Markdown page, and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

__all__ = ["blocks", "commands"]

_BLOCK = re.compile(r"^## (?P<title>.+?)$|^```(?P<kind>\w+)\n(?P<body>.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(readme: str) -> Iterator[tuple[str, str, str]]:
    """Section, language and text of every fenced block."""
    section = ""
    for match in _BLOCK.finditer(readme):
        if match["title"]:
            section = match["title"]
        else:
            yield section, match["kind"], match["body"]


def commands(text: str) -> list[list[str]]:
    """The ``edgeflow`` commands of a shell block."""
    return [shlex.split(line, comments=True) for line in text.splitlines() if line.startswith("edgeflow ")]
