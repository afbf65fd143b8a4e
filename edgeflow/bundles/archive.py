"""The zip file around a bundle: read without unpacking, bounded before anything is inflated, written whole.

No name in it ever becomes a path and nothing is written to the disk, so links, absolute names and
``..`` reach nothing. What remains is what a hostile file can cost, and that is bounded here.
"""

from __future__ import annotations

import os
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from edgeflow.errors import IntegrityError, StorageError, UsageError
from edgeflow.files import replace_atomically

__all__ = ["Archive", "write_archive"]

MAX_FILES = 1000
MAX_DIRECTORY_BYTES = 1024 * 1024
MAX_EXPANSION = 64
"""Declared size over stored size. Weights give less than 2; only an archive bomb gives hundreds."""
FREE_EXPANSION_BYTES = 1024 * 1024
"""Below this size any ratio is allowed: small text compresses well and can do no harm."""
_CHUNK = 1024 * 1024
_INCOMPRESSIBLE = {".bin", ".jpg", ".npz", ".onnx", ".png"}
"""Weights would lose a tenth of their size, and inflating them would take most of a box's start."""

_END = struct.Struct("<4s4H2LH")  # end of the central directory, without comment
_LOCAL = struct.Struct("<4s22x2H")  # before an entry: mark, lengths of its name and of more fields
_ZIP64_LOCATOR_BYTES = 20
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip entry can carry
# zipfile has no common base class for what a damaged file makes it raise.
_DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
)


class Archive:
    """An opened bundle file: names, sizes, and the bytes of one entry at a time."""

    def __init__(self, path: Path) -> None:
        """Open and check the directory; no entry is read.

        Raises:
            UsageError: there is no such file, or it may not be read.
            IntegrityError: not a bundle, cut off, or a directory that no bundle has.
        """
        self.path = path
        self._file = _open_regular(path)
        try:
            _check_end(path, self._file)
            self._zip = zipfile.ZipFile(self._file)
            infos = self._zip.infolist()
        except _DAMAGE as cause:
            self._file.close()
            raise IntegrityError(
                f"{path}: not a bundle, or cut off: {cause}; copy it to this box again"
            ) from cause
        except BaseException:
            self._file.close()
            raise
        self.names = [info.filename for info in infos]
        self._infos = {info.filename: info for info in infos}
        problems = _unusual(infos)
        if sum(info.compress_size for info in infos) > self._file.seek(0, os.SEEK_END):
            problems.append("entries that lie on each other")
        if problems:
            self.close()
            raise IntegrityError(f"{path}: not made by edgeflow; do not use it", problems=problems)

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._zip.close()
        self._file.close()

    def size(self, name: str) -> int:
        """Declared size of an entry in bytes."""
        return self._infos[name].file_size

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of an entry, at most as many as declared.

        Raises:
            IntegrityError: damaged.
        """
        try:
            begin = self._begin(name)
            if begin is not None:
                yield from _pieces(self._file.fileno(), begin, self.size(name))
                return
            with self._zip.open(name) as file:
                while chunk := file.read(_CHUNK):
                    yield chunk
        except (KeyError, *_DAMAGE) as cause:
            raise IntegrityError(f"{self.path}: {name} is damaged: {cause}; copy the bundle again") from cause

    def _begin_of(self, name: str) -> int | None:
        """As :meth:`_begin`; None also where that fails, which reading it in pieces will say."""
        try:
            return self._begin(name)
        except (KeyError, *_DAMAGE):
            return None

    def _begin(self, name: str) -> int | None:
        """Return where a large entry begins that lies in the file as it is; None of those that do not.

        Only weights are so large. The manifest's hash says whether they are right, so that nothing has to be
        added up for the zip file's own check: it would take half as long again.
        """
        info = self._infos[name]
        if info.compress_type != zipfile.ZIP_STORED or info.file_size <= _CHUNK:
            return None
        header = os.pread(self._file.fileno(), _LOCAL.size, info.header_offset)
        mark, name_bytes, more_bytes = _LOCAL.unpack(header)
        begin = info.header_offset + _LOCAL.size
        known = os.pread(self._file.fileno(), name_bytes, begin)
        if mark != b"PK\3\4" or known != name.encode() or info.compress_size != info.file_size:
            raise zipfile.BadZipFile("another entry lies where the directory says")
        return begin + int(name_bytes) + int(more_bytes)

    def read(self, name: str, *, limit: int) -> bytes:
        """All bytes of an entry that declares no more than ``limit`` of them.

        Raises:
            IntegrityError: not there, larger, or damaged.
        """
        if name not in self._infos:
            raise IntegrityError(f"{self.path}: not a bundle: no {name} in it")
        if self.size(name) > limit:
            raise IntegrityError(f"{self.path}: {name} has {self.size(name)} bytes, at most {limit} are read")
        return self.whole(name)

    def whole(self, name: str) -> bytes:
        """All bytes of an entry, held in memory once.

        Raises:
            IntegrityError: damaged.
        """
        begin = self._begin_of(name)
        if begin is not None:
            data = os.pread(self._file.fileno(), self.size(name), begin)
            if len(data) == self.size(name):
                return data
        return b"".join(self.chunks(name))


def _pieces(file: int, begin: int, size: int) -> Iterator[bytes]:
    """So many bytes of a file from a place on."""
    end = begin + size
    while begin < end:
        piece = os.pread(file, min(_CHUNK, end - begin), begin)
        if not piece:
            raise EOFError("the file ends within it")
        begin += len(piece)
        yield piece


def write_archive(path: Path, entries: Iterable[tuple[str, bytes]]) -> None:
    """Write under a temporary name, then rename: the file exists whole or not at all. Same input, same bytes.

    Raises:
        StorageError: the folder cannot be written.
        UsageError: more than 2 GiB.
    """
    try:
        with replace_atomically(path) as file, zipfile.ZipFile(file, "w", allowZip64=False) as archive:
            for name, data in entries:
                _add(archive, name, data)
    except OSError as cause:
        raise StorageError(f"{path}: bundle cannot be written: {cause}; check space and rights") from cause
    except zipfile.LargeZipFile as cause:
        raise UsageError(
            f"{path}: a bundle holds at most 2 GiB; leave a back end or precision out"
        ) from cause


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, _EPOCH)
    stored = Path(name).suffix in _INCOMPRESSIBLE
    info.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    info.external_attr = 0o100644 << 16
    archive.writestr(info, data, compresslevel=6)


def _open_regular(path: Path) -> BinaryIO:
    """The file behind a path, links followed; a pipe or a device would never end."""
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise UsageError(f"{path}: a pipe or device; give the bundle file itself")
        return path.open("rb")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as cause:
        raise UsageError(
            f"{path}: no such bundle; make one with 'edgeflow export CHECKPOINT -o {path.name}'"
        ) from cause
    except PermissionError as cause:
        raise UsageError(f"{path}: this user may not read it; change its owner or rights") from cause
    except OSError as cause:
        raise IntegrityError(f"{path}: cannot be read: {cause}; copy it to this box again") from cause


def _check_end(path: Path, file: BinaryIO) -> None:
    """Bound the directory before :mod:`zipfile` reads it whole.

    A bundle ends with its directory and a fixed record of 22 bytes, without comment and without the
    64-bit extension, whose own counts would overrule those that are checked here.
    """
    size = file.seek(0, os.SEEK_END)
    tail_bytes = min(size, _END.size + _ZIP64_LOCATOR_BYTES)
    file.seek(size - tail_bytes)
    tail = file.read(tail_bytes)
    if len(tail) < _END.size:
        raise IntegrityError(f"{path}: not a bundle, or cut off; copy it to this box again")
    mark, _, _, _, count, directory_bytes, offset, comment_bytes = _END.unpack(tail[-_END.size :])
    if (
        mark != b"PK\5\6"
        or comment_bytes
        or offset + directory_bytes + _END.size != size
        or tail[: -_END.size].startswith(b"PK\6\7")
    ):
        raise IntegrityError(f"{path}: not a bundle, or cut off; copy it to this box again")
    if count > MAX_FILES or directory_bytes > MAX_DIRECTORY_BYTES:
        raise IntegrityError(
            f"{path}: {count} files in a directory of {directory_bytes} bytes; a bundle has at most "
            f"{MAX_FILES} files and {MAX_DIRECTORY_BYTES} bytes; do not use it"
        )


def _unusual(infos: list[zipfile.ZipInfo]) -> list[str]:
    """List what no bundle has: doubled names, links, encryption, exotic or enormous compression."""
    counts = Counter(info.filename for info in infos)
    problems = [f"{name}: there twice" for name, count in counts.items() if count > 1]
    for info in infos:
        if info.is_dir() or stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
            problems.append(f"{info.filename}: a link or folder, not a file")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 0x1:
            problems.append(f"{info.filename}: encrypted, or compressed in a way that bundles are not")
        if info.file_size > FREE_EXPANSION_BYTES and info.file_size > MAX_EXPANSION * info.compress_size:
            problems.append(f"{info.filename}: {info.compress_size} bytes that say they are {info.file_size}")
    return problems
