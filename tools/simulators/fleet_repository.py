"""A repository of a fleet, with bundles and keys, and a web server for it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from edgeflow.clock import utc_now
from edgeflow.fleet.metadata import Keys
from edgeflow.fleet.repository import FleetRepository
from edgeflow.fleet.rollout import Bounds, Group, Release
from edgeflow.security.keys import new_key, read_private_key
from simulators.small_bundle import small_bundle

GROUPS = (Group(name="canary"), Group(name="line3"))
_STARTS_S = 20.0


@dataclass(kw_only=True)
class Publisher:
    """One who publishes: a repository, its keys, and the key that signs bundles."""

    root: Path
    groups: tuple[Group, ...] = GROUPS
    keys: Keys = field(init=False)

    def __post_init__(self) -> None:
        (self.root / "keys").mkdir(parents=True)
        new_key(self.root / "signer", None)
        self.keys = Keys(self.root / "keys", None)
        self.at().create(self.keys, self.groups)

    @property
    def path(self) -> Path:
        return self.root / "repository"

    @property
    def signer(self) -> Path:
        return self.root / "signer.pub.pem"

    @property
    def first_root(self) -> Path:
        return self.path / "metadata" / "1.root.json"

    def at(self, now: datetime | None = None) -> FleetRepository:
        return FleetRepository(path=self.path, now=now or utc_now())

    def bundle(self, version: int, **changes: object) -> Path:
        """A signed bundle beside the repository."""
        key = read_private_key(self.root / "signer.key.pem", None)
        path = self.root / f"{changes.get('name', 'bracket')}-{version}.bundle"
        return small_bundle(path, version=version, signer=key, **changes)  # type: ignore[arg-type]

    def publish(
        self, version: int, bounds: Bounds | None = None, *, now: datetime | None = None, **changes: object
    ) -> Release:
        made = self.bundle(version, **changes)
        return self.at(now).publish(made, bounds or Bounds(), self.keys)

    def copied(self, name: str) -> Path:
        """A copy of the repository as it is now."""
        return Path(shutil.copytree(self.path, self.root / name))


@contextmanager
def nginx(root: Path, folder: Path) -> Iterator[str]:
    """Serve ``root`` on a free port of this computer; its own files lie in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = folder / "nginx.conf"
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config.write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1; user root;"
        "events { worker_connections 64; }"
        f"http {{ access_log off; {temporary} server {{ listen 127.0.0.1:{port}; root {root}; }} }}"
    )
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    if program is None:
        raise RuntimeError("no nginx here; install it: apt-get install nginx")
    with subprocess.Popen(
        [program, "-c", str(config), "-p", str(folder)], stderr=subprocess.DEVNULL
    ) as server:
        try:
            end_s = time.monotonic() + _STARTS_S
            while True:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                if time.monotonic() > end_s:
                    raise RuntimeError((folder / "error.log").read_text())
                time.sleep(0.02)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
