"""A real PostgreSQL server in a folder of its own, to use and to break; never as root."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path

__all__ = ["Postgresql", "postgresql_programs"]

_START_S = 60.0
_SETTINGS = """
listen_addresses = ''
unix_socket_directories = '{folder}'
max_connections = 60
shared_buffers = 64MB
logging_collector = off
{more}
"""


def postgresql_programs() -> Path | None:
    """The folder of ``initdb`` and ``postgres``; None where they are not installed."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    return folders[-1] if folders else None


class Postgresql:
    """A server on a Unix socket, with its data in a folder that nobody else uses.

    Args:
        folder: empty; its path is short enough for a socket (about 90 letters).
    """

    def __init__(self, folder: Path, more: str = "") -> None:
        programs = postgresql_programs()
        if programs is None:
            raise FileNotFoundError("no PostgreSQL here; install it: sudo apt-get install postgresql")
        self._programs = programs
        self._folder = folder
        self._prefix: list[str] = []
        self._user: int | None = None
        self._group: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        if os.getuid() == 0:
            self._leave_root()
        self._run(
            "initdb", "-D", str(folder / "data"), "-U", "edgeflow", "-A", "trust", "-E", "UTF8", "--no-sync"
        )
        with (folder / "data" / "postgresql.conf").open("a") as file:
            file.write(_SETTINGS.format(folder=folder, more=more))

    @property
    def connection(self) -> str:
        """libpq's connection string."""
        return f"host={self._folder} dbname=postgres user=edgeflow"

    @property
    def pid(self) -> int:
        """Of the server's first process."""
        if self._process is None:
            raise RuntimeError("PostgreSQL does not run")
        return self._process.pid

    @property
    def data(self) -> Path:
        """Its data folder."""
        return self._folder / "data"

    def start(self, *, wait: bool = True) -> None:
        """Start; with ``wait`` return once it answers."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._prefix, self._programs / "postgres", "-D", str(self.data)],
                stdout=log, stderr=log, user=self._user, group=self._group, start_new_session=True,
            )  # fmt: skip
        deadline_s = time.monotonic() + _START_S
        while wait and not self.answers():
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError((self._folder / "log").read_text("utf-8", "replace")[-2000:])
            time.sleep(0.05)

    def answers(self) -> bool:
        """True if it takes connections."""
        asked: list[str | Path] = [
            self._programs / "pg_isready",
            "-q",
            "-h",
            str(self._folder),
            "-d",
            "postgres",
        ]
        return subprocess.run(asked, check=False).returncode == 0

    def kill(self) -> None:
        """SIGKILL to the server and all its processes, by their ids; safe where it does not run."""
        process, self._process = self._process, None
        if process is None:
            return
        children = _children(process.pid)
        for pid in (process.pid, *children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()

    def freeze(self) -> None:
        """It stays connected, but answers nothing."""
        for pid in (self.pid, *_children(self.pid)):
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        for pid in (self.pid, *_children(self.pid)):
            os.kill(pid, signal.SIGCONT)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [*self._prefix, self._programs / program, *arguments],
            capture_output=True, text=True, check=False, user=self._user, group=self._group, cwd="/",
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr}")

    def _leave_root(self) -> None:
        """Run as the system's user for it; in a namespace without other users, as that user by name only."""
        known = {record.pw_name: record for record in pwd.getpwall()}
        record = known.get("postgres") or known["nobody"]
        try:
            os.chown(self._folder, record.pw_uid, record.pw_gid)
        except OSError:
            own = ["unshare", "--user", f"--map-user={record.pw_uid}", f"--map-group={record.pw_gid}"]
            self._prefix = own
            return
        self._user, self._group = record.pw_uid, record.pw_gid
        for parent in self._folder.parents:  # folders of a test are closed to others
            if parent.stat().st_uid == os.getuid() and not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o011)


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(child) for child in text.split()]
