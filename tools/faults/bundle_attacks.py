"""Ways to make a hostile bundle of a good one, each with the reason that it has to be refused for."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edgeflow.contracts.signature import key_id, sign_manifest
from faults.rewritten_bundles import manifest_of, rewritten

OURS = Ed25519PrivateKey.from_private_bytes(b"1" * 32)
THEIRS = Ed25519PrivateKey.from_private_bytes(b"2" * 32)
TRUSTED = {key_id(OURS.public_key()): OURS.public_key()}

Attack = Callable[[Path, Path], None]
"""Writes the hostile bundle (second) from a good one (first)."""


def with_manifest(raw: bytes) -> Attack:
    """Another manifest, signed by whom the box trusts: what is tested lies behind the signature."""

    def attack(good: Path, bad: Path) -> None:
        rewritten(good, bad, {"manifest.json": raw, "manifest.sig": sign_manifest(raw, OURS)}, {})

    return attack


def with_changed_manifest(**changes: object) -> Attack:
    def attack(good: Path, bad: Path) -> None:
        with_manifest(json.dumps(manifest_of(good) | changes).encode())(good, bad)

    return attack


def with_entry(name: str, data: bytes = b"x", mode: int = 0o100644) -> Attack:
    def attack(good: Path, bad: Path) -> None:
        rewritten(good, bad, {}, {})
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        with zipfile.ZipFile(bad, "a") as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the doubled name that a test wants
            archive.writestr(info, data)

    return attack


def with_listed(name: str, data: bytes) -> Attack:
    """One file exchanged and its hash with it, all signed: the signer is deceived or hostile."""

    def attack(good: Path, bad: Path) -> None:
        document = manifest_of(good)
        files = document["files"]
        if not isinstance(files, dict):
            raise TypeError("a manifest lists its files by name")
        files[name] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        raw = json.dumps(document).encode()
        with zipfile.ZipFile(good) as old, zipfile.ZipFile(bad, "w", zipfile.ZIP_DEFLATED) as new:
            change = {"manifest.json": raw, "manifest.sig": sign_manifest(raw, OURS), name: data}
            for entry in dict.fromkeys([*old.namelist(), name]):
                new.writestr(entry, change.get(entry) or old.read(entry))

    return attack


def with_signature(change: Callable[[bytes], bytes | None]) -> Attack:
    def attack(good: Path, bad: Path) -> None:
        with zipfile.ZipFile(good) as archive:
            signature = change(archive.read("manifest.json"))
        rewritten(good, bad, {"manifest.sig": signature}, {})

    return attack


def claiming_our_key(raw: bytes) -> bytes:
    document = json.loads(sign_manifest(raw, THEIRS))
    return json.dumps(document | {"key_id": key_id(OURS.public_key())}).encode()


def many_files(_good: Path, bad: Path) -> None:
    """The count in the file says 1: it is the size of the directory that bounds what is read."""
    with zipfile.ZipFile(bad, "w") as archive:
        for number in range(20_000):
            archive.writestr(f"{number:060d}", b"")
    data = bytearray(bad.read_bytes())
    data[-14:-10] = b"\1\0\1\0"
    bad.write_bytes(data)


def zip64(good: Path, bad: Path) -> None:
    """The 64-bit extension, whose counts overrule those of the record at the end."""
    data = good.read_bytes()
    bad.write_bytes(data[:-22] + b"PK\6\7" + bytes(16) + data[-22:])


def other_bytes_for_the_manifest(good: Path, bad: Path) -> None:
    rewritten(good, bad, {"manifest.json": b"{}"}, {})


def inner_bomb() -> bytes:
    """An array file whose own zip holds 300 MB of zeros; it is small, so the outer zip looks harmless."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("maps.npy", "w") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": (75_000_000,)}
        )
        for _ in range(300):
            file.write(bytes(1_000_000))
    return buffer.getvalue()


DEEP = b'{"schema_version": "1.0", "recipe": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001
HALF_DEEP = b'{"schema_version": "1.0", "recipe": ' + b"[" * 900 + b"NaN" + b"]" * 900 + b"}"

ATTACKS: dict[str, tuple[Attack, str]] = {
    "path traversal": (with_entry("../outside.txt"), "not listed"),
    "absolute name": (with_entry("/etc/cron.d/evil"), "not listed"),
    "traversal in the manifest": (
        with_listed("../evil.onnx", b"x"), r"files\.\.\./evil\.onnx"),
    "symbolic link": (with_entry("link", b"/etc/passwd", stat.S_IFLNK | 0o777), "a link or folder"),
    "folder": (with_entry("folder/", b""), "a link or folder"),
    "doubled name": (with_entry("mean.onnx"), r"mean\.onnx: there twice"),
    "file that is not listed": (with_entry("extra.bin"), r"extra\.bin: not listed"),
    "bomb, 200 MB": (with_listed("mean.onnx", bytes(200_000_000)), "bytes that say they are 200000000"),
    "directory of 20,000 files": (many_files, "1 files in a directory of"),
    "64-bit directory": (zip64, "not a bundle, or cut off"),
    "not signed": (with_signature(lambda _: None), "not signed, and this box runs only"),
    "signed by a stranger": (with_signature(lambda raw: sign_manifest(raw, THEIRS)), "trusted are"),
    "signature of another manifest": (
        with_signature(lambda raw: sign_manifest(raw + b" ", OURS)), "altered after signing"),
    "a stranger's signature under our key's id": (with_signature(claiming_our_key), "altered after signing"),
    "signature that is none": (with_signature(lambda _: b"{}"), "no signature that this edgeflow knows"),
    "signature of 10 MB": (with_signature(lambda _: bytes(10_000_000)), r"at most 4096 are read"),
    "manifest altered after signing": (other_bytes_for_the_manifest, "altered after signing"),
    "manifest of 10 MB": (with_manifest(b" " * 10_000_000), "at most 1048576 are read"),
    "manifest with 80,000 unknown keys": (
        with_manifest(json.dumps({f"k{i}": 0 for i in range(80_000)}).encode()), "and 79912 more"),
    "deep manifest": (with_manifest(DEEP), "not JSON|nested too deep"),
    "deep manifest with NaN": (with_manifest(HALF_DEEP), "finite number|nested too deep|not plain data"),
    "NaN threshold": (
        with_changed_manifest(thresholds={"part": {"centre": 0.0, "threshold": float("nan")}}),
        "must be a finite number, got nan"),
    "manifest in Latin-1": (with_manifest(b'{"name": "\xfcber"}'), "not JSON"),
    "manifest that is no text": (with_manifest(bytes(range(256))), "not JSON"),
}  # fmt: skip
