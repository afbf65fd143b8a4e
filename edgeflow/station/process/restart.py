"""Restart of a box by command: with a box file that can be used, after the part in hand."""

from __future__ import annotations

import hashlib
import signal
import threading
from dataclasses import dataclass, field
from pathlib import Path

from edgeflow.config.box import load_config

__all__ = ["Restart"]


@dataclass(kw_only=True)
class Restart:
    """A box's restart, which ends it as SIGTERM does.

    Attributes:
        overrides: settings of the command line, which hold after the restart as well.
        supervised: a service manager starts the box again; else the process begins anew by itself.
        asked: set by the command.
        read_sha256: SHA-256 of the box file that the box read at its start; empty where it could not.
    """

    path: Path
    overrides: tuple[str, ...]
    supervised: bool
    asked: bool = False
    read_sha256: str = field(init=False)

    def __post_init__(self) -> None:
        try:
            self.read_sha256 = hashlib.sha256(self.path.read_bytes()).hexdigest()
        except OSError:
            self.read_sha256 = ""  # reading it as a box file says why

    def ask(self) -> str:
        """Begin the end of the process, and return at once.

        Raises:
            ConfigError: the box would not start with its file as it is now.
        """
        load_config(self.path, self.overrides)
        self.asked = True
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
        who = "the service manager starts it again" if self.supervised else "it begins anew by itself"
        return f"the box ends after the part in hand, and {who} with {self.path.name}"
