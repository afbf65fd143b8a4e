"""The way between box and broker, which can be cut: silently, in a network of our own, or by a relay."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from faults.network import Relay, in_own_network
from faults.rig import wait_for

__all__ = ["Way", "way"]

_HERE, _THERE = "10.77.0.1", "10.77.0.2"
_MACS = {_HERE: "02:00:00:00:00:01", _THERE: "02:00:00:00:00:02"}
_NOBODY = "02:00:00:00:00:99"


class Way(Protocol):
    """Interface of a link that can be cut.

    Attributes:
        host: where the broker has to listen.
        prefix: words before the command of a box on the other side.
        name: how it is cut, for the table.
    """

    host: str
    prefix: tuple[str, ...]
    name: str

    def join(self, port: int) -> int:
        """The port by which the box reaches the broker's."""

    def cut(self) -> None: ...

    def mend(self) -> None: ...

    def close(self) -> None: ...


@contextmanager
def way() -> Iterator[Way]:
    """A cable between two networks, where we may make them; else a relay."""
    made: Way = _Cable() if in_own_network() else _Relayed()
    try:
        yield made
    finally:
        made.close()


class _Cable:
    """A second network at the other end of a pair of interfaces.

    Cut, each end sends its frames to an address that nobody has: links stay up, no one refuses anything, and
    packets vanish, as in a switch that lost its way.
    """

    host = _HERE
    name = "silent"

    def __init__(self) -> None:
        # It ends when its input does: with us, however we end.
        self._holder = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE)
        own = Path("/proc/self/ns/net").readlink()
        theirs = Path(f"/proc/{self._holder.pid}/ns/net")
        if not wait_for(lambda: theirs.readlink() != own, 10):
            raise SystemExit("no second network came about")
        self.prefix: tuple[str, ...] = ("nsenter", "--target", str(self._holder.pid), "--net")
        far = f"type veth peer name far address {_MACS[_THERE]} netns {self._holder.pid}"
        _run(f"ip link add near address {_MACS[_HERE]} {far}")
        for end, address, words in (("near", _HERE, ()), ("far", _THERE, self.prefix)):
            _run(f"ip address add {address}/30 dev {end}", words)
            _run(f"ip link set {end} up", words)
        _run("ip link set lo up", self.prefix)  # a client of ours talks to itself over it
        self.mend()

    def join(self, port: int) -> int:
        return port

    def cut(self) -> None:
        self._point(_NOBODY, _NOBODY)

    def mend(self) -> None:
        self._point(_MACS[_THERE], _MACS[_HERE])

    def close(self) -> None:
        _run("ip link del near")
        self._holder.communicate()

    def _point(self, there: str, here: str) -> None:
        _run(f"ip neighbour replace {_THERE} dev near lladdr {there} nud permanent")
        _run(f"ip neighbour replace {_HERE} dev far lladdr {here} nud permanent", self.prefix)


class _Relayed:
    """A relay that stops: kernels still confirm what it has not passed on, so that it is noticed later."""

    host = "127.0.0.1"
    prefix: tuple[str, ...] = ()
    name = "no networks here: a relay that stops"

    def __init__(self) -> None:
        self._relay: Relay | None = None

    def join(self, port: int) -> int:
        self._relay = Relay((self.host, port))
        return self._relay.port

    def cut(self) -> None:
        if self._relay is not None:
            self._relay.hold()

    def mend(self) -> None:
        if self._relay is not None:
            self._relay.let_go()

    def close(self) -> None:
        if self._relay is not None:
            self._relay.let_go()
            self._relay.close()


def _run(command: str, prefix: tuple[str, ...] = ()) -> None:
    subprocess.run([*prefix, *command.split()], check=True)
