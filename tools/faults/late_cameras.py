"""Real GigE Vision cameras in loopback whose images come late; with a time-stamp latch and a trigger line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgeflow.cameras.genicam.aravis import load_aravis
from simulators.gige_cameras import FakeCamera, NotPossibleError, lonely_network

__all__ = ["Late", "late_cameras"]

_SOURCE = Path(__file__).with_name("late_camera.c")
_LATCH = """
<Command Name="GevTimestampControlLatch"><pValue>LatchControlRegister</pValue>
<CommandValue>2</CommandValue></Command>
<IntReg Name="LatchControlRegister"><Address>0x944</Address><Length>4</Length><AccessMode>RW</AccessMode>
<pPort>Device</pPort><Sign>Unsigned</Sign><Endianess>BigEndian</Endianess></IntReg>
<Integer Name="GevTimestampTickFrequency"><Value>1000000000</Value></Integer>
<IntReg Name="GevTimestampValue"><Address>0x948</Address><Length>8</Length><AccessMode>RO</AccessMode>
<pPort>Device</pPort><Cachable>NoCache</Cachable><Sign>Unsigned</Sign><Endianess>BigEndian</Endianess></IntReg>
"""


@dataclass(frozen=True, kw_only=True)
class Late:
    """Behaviour of the simulated cameras.

    Attributes:
        pulse_ms: every camera takes an image whenever the computer's wall clock is at a multiple of this, as
            if a pulse came on its trigger line; itself a multiple of 40. 0: no pulses.
        latch: its clock can be read.
        ignore_one_in: software triggers that it does not answer; 0: none.
    """

    latency_ms: int
    jitter_ms: int = 0
    pulse_ms: int = 0
    latch: bool = False
    ignore_one_in: int = 0


@contextmanager
def late_cameras(count: int, late: Late) -> Iterator[list[FakeCamera]]:
    """Cameras at 127.0.0.2, 127.0.0.3 and so on.

    Raises:
        NotPossibleError: no compiler, no cameras, or no right to make a network.
    """
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise NotPossibleError("no C compiler here")
    numbers = range(2, count + 2)
    with tempfile.TemporaryDirectory() as folder, lonely_network([f"127.0.0.{k}" for k in numbers]):
        library = Path(folder) / "late_camera.so"
        subprocess.run(
            [compiler, "-O1", "-shared", "-fPIC", "-o", library, _SOURCE, "-ldl", "-lpthread"], check=True
        )
        description = _description(Path(folder) / "camera.xml", latch=late.latch)
        environment = {
            **os.environ,
            "LD_PRELOAD": str(library),
            "LATE_MS": str(late.latency_ms),
            "LATE_JITTER_MS": str(late.jitter_ms),
            "LATE_IGNORE": str(late.ignore_one_in),
            "LATE_PULSES": str(late.pulse_ms),
        }
        cameras: list[FakeCamera] = []
        try:
            for k in numbers:
                options = ("-g", str(description))
                cameras.append(
                    FakeCamera(f"127.0.0.{k}", f"FAKE{k}", options=options, environment=environment)
                )
            yield cameras
        finally:
            for camera in cameras:
                camera.kill()


def _description(path: Path, *, latch: bool) -> Path:
    """The camera's own description of its features, with a latch where asked for."""
    aravis, _ = load_aravis()
    text = aravis.FakeCamera.new("any").get_genicam_xml()
    text = text[0] if isinstance(text, tuple) else text
    if latch:
        text = re.sub(r"(</RegisterDescription>)", _LATCH + r"\1", text)
    path.write_text(text)
    return path
