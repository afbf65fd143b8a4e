"""Hostile bundles: each is refused with its reason, before it costs memory or time."""

from __future__ import annotations

import io
import os
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgeflow.bundles.bundle import Bundle
from edgeflow.errors import IntegrityError, UsageError
from faults.bundle_attacks import ATTACKS, OURS, TRUSTED, inner_bomb, with_listed
from simulators.small_bundle import small_bundle


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_bundle(tmp_path_factory.mktemp("good") / "good.bundle", signer=OURS)


def test_the_bundle_that_is_attacked_is_a_good_one(good: Path) -> None:
    with Bundle.open(good, trusted=TRUSTED) as bundle:
        assert bundle.signature is not None
        assert bundle.signature.key_id in TRUSTED


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_is_refused_with_its_reason(good: Path, tmp_path: Path, name: str) -> None:
    attack, reason = ATTACKS[name]
    attack(good, tmp_path / "bad.bundle")
    with pytest.raises(IntegrityError, match=reason) as caught:
        Bundle.open(tmp_path / "bad.bundle", trusted=TRUSTED)
    assert caught.value.exit_code == 5
    assert len(str(caught.value)) < 24_000


def test_bomb_is_refused_before_it_is_inflated(good: Path, tmp_path: Path) -> None:
    """In a process that may take 100 MB more than it has once all is imported; the bomb has 200 MB.

    What the imports themselves take depends on the number of processors (stacks and buffers of thread pools).
    """
    with_listed("mean.onnx", bytes(200_000_000))(good, tmp_path / "bad.bundle")
    assert (tmp_path / "bad.bundle").stat().st_size < 300_000
    script = (
        "import re, resource, sys; from pathlib import Path\n"
        "from edgeflow.bundles.bundle import Bundle\n"
        "Bundle.open(Path(sys.argv[2])).close()\n"
        "data = int(re.search(r'VmData:\\s+(\\d+) kB', Path('/proc/self/status').read_text())[1]) * 1024\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (data + 100_000_000,) * 2)\n"
        "Bundle.open(Path(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "bad.bundle", good],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "IntegrityError" in done.stderr, done.stderr
    assert "Memory" not in done.stderr


def test_bomb_in_an_array_file_is_refused_before_it_is_inflated(good: Path, tmp_path: Path) -> None:
    bomb = inner_bomb()
    assert len(bomb) < 500_000
    with_listed("golden/maps.npz", bomb)(good, tmp_path / "bad.bundle")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Bundle.open(tmp_path / "bad.bundle") as bundle, pytest.raises(IntegrityError, match="of arrays"):
        bundle.golden_expectation(bundle.manifest.golden[0])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes


def test_array_that_declares_more_than_memory_is_refused(good: Path, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, archive.open("maps.npy", "w") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": (10**15,)}
        )
    with_listed("golden/maps.npz", buffer.getvalue())(good, tmp_path / "bad.bundle")
    with Bundle.open(tmp_path / "bad.bundle") as bundle, pytest.raises(IntegrityError, match="not an array"):
        bundle.golden_expectation(bundle.manifest.golden[0])


def test_links_to_a_bundle_are_as_good_as_the_bundle(good: Path, tmp_path: Path) -> None:
    """Nothing is unpacked, and what is read is what is checked."""
    (tmp_path / "soft").symlink_to(good)
    os.link(good, tmp_path / "hard")
    for name in ("soft", "hard"):
        with Bundle.open(tmp_path / name, trusted=TRUSTED) as bundle:
            assert bundle.manifest.name == "bracket"


def test_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="a pipe or device"):
        Bundle.open(tmp_path / "pipe")


def test_bundle_cut_off_anywhere_is_refused(good: Path, tmp_path: Path) -> None:
    data = good.read_bytes()
    cut = tmp_path / "cut.bundle"
    for keep in [*range(0, len(data), 23), *range(len(data) - 60, len(data))]:
        cut.write_bytes(data[:keep])
        with pytest.raises(IntegrityError):
            Bundle.open(cut)


def test_flipped_bit_is_refused_or_changes_nothing_that_is_used(good: Path, tmp_path: Path) -> None:
    """Every third byte, one bit of it. Some fields of a zip have no effect, such as dates."""
    data = bytearray(good.read_bytes())
    flipped = tmp_path / "flipped.bundle"
    with Bundle.open(good) as bundle:
        contents = {name: bundle.read(name) for name in bundle.manifest.files}
    harmless = 0
    for place in range(0, len(data), 3):
        data[place] ^= 1 << place % 8
        flipped.write_bytes(data)
        data[place] ^= 1 << place % 8
        try:
            bundle = Bundle.open(flipped, trusted=TRUSTED)
        except IntegrityError:
            continue
        with bundle:
            assert {name: bundle.read(name) for name in bundle.manifest.files} == contents
            harmless += 1
    assert harmless < 0.04 * len(data)
