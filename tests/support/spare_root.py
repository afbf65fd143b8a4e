"""A copy of this system to install in: an overlay in namespaces of its own, gone with their process."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

__all__ = ["SpareRoot", "SpareRootError"]

_TOOLS = ("unshare", "nsenter", "chroot", "mount")


class SpareRootError(Exception):
    """This system gives no namespaces or no overlay."""


class SpareRoot:
    """A root whose files are this system's, and whose changes are seen by nobody else; without a network.

    Args:
        folder: empty; the root is mounted there, for its own processes alone.
        binds: folders of this system by the place where they also lie in the root.

    Raises:
        SpareRootError: it cannot be made here.
    """

    def __init__(self, folder: Path, binds: Mapping[str, Path]) -> None:
        missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
        if missing:
            raise SpareRootError(f"no {', '.join(missing)} here")
        self.path = folder / "root"
        mine = [] if os.geteuid() == 0 else ["--user", "--map-root-user", "--map-auto"]
        command = ["unshare", *mine, "--mount", "--net", "--propagation", "private", "sleep", "infinity"]
        self._holder = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self._enter = ["nsenter", "--target", str(self._holder.pid), "--mount", "--net"]
        self._enter += ["--user", "--preserve-credentials"] if mine else []
        try:
            self._await_namespaces()
            self._mount(folder, binds)
        except BaseException:
            self.close()
            raise

    def run(
        self, *command: object, user: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the root, as root or as another of its users."""
        words = [str(word) for word in command]
        if user is not None:
            words = ["setpriv", "--reuid", user, "--regid", user, "--init-groups", "--no-new-privs", *words]
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "DEBIAN_FRONTEND": "noninteractive",
        }
        done = subprocess.run(
            [*self._enter, "chroot", self.path, *words],
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        assert not check or done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"
        return done

    def close(self) -> None:
        """End the process that holds the namespaces, and with it all mounts."""
        self._holder.kill()
        self._holder.communicate()

    def _await_namespaces(self) -> None:
        own = Path("/proc/self/ns/mnt").readlink()
        for _ in range(500):
            if self._holder.poll() is not None:
                raise SpareRootError(f"unshare: {self._holder.communicate()[1].strip()}")
            if Path(f"/proc/{self._holder.pid}/ns/net").readlink() != Path(
                "/proc/self/ns/net"
            ).readlink() and (Path(f"/proc/{self._holder.pid}/ns/mnt").readlink() != own):
                return
            time.sleep(0.01)
        raise SpareRootError("unshare gives no namespaces")

    def _mount(self, folder: Path, binds: Mapping[str, Path]) -> None:
        layers, root = folder / "layers", self.path
        for made in (layers, root):
            made.mkdir()
        places = " ".join(f'"{root}{place}"' for place in binds)
        script = [
            f'mount -t tmpfs tmpfs "{layers}"',
            f'mkdir "{layers}/upper" "{layers}/work"',
            f'cd "{layers}"',
            f'mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work "{root}"',
            f"mkdir -p {places}",
            *(f'mount --rbind "{source}" "{root}{place}"' for place, source in binds.items()),
            f'mount --rbind /dev "{root}/dev"',
            f'mount --rbind /proc "{root}/proc"',
            f'mount -t tmpfs tmpfs "{root}/run"',
            f'mount -t tmpfs tmpfs "{root}/tmp"',
        ]
        mounted = subprocess.run(
            [*self._enter, "sh", "-ec", "\n".join(script)], capture_output=True, text=True, check=False
        )
        if mounted.returncode != 0:
            raise SpareRootError(mounted.stderr.strip())
