"""The bounds of a bundle's zip file hold exactly, and what is written is one and the same file."""

from __future__ import annotations

import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeflow.bundles.archive import Archive, write_archive
from edgeflow.errors import IntegrityError, StorageError, UsageError

MIB = 1024 * 1024


def plain(path: Path, entries: dict[str, bytes], *, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


def patched(path: Path, change: Callable[[bytearray], None]) -> Path:
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)
    return path


def opened(path: Path) -> Archive:
    archive = Archive(path)
    archive.close()
    return archive


def test_entries_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "folder" / "a.bundle"
    large = bytes(range(256)) * 10_000
    write_archive(path, [("b.json", b"{}"), ("a.bin", large), ("c.txt", b"x" * 5000)])
    archive = Archive(path)
    assert archive.names == ["b.json", "a.bin", "c.txt"]
    assert archive.size("a.bin") == len(large)
    assert archive.whole("a.bin") == large
    assert [len(chunk) for chunk in archive.chunks("a.bin")] == [MIB, MIB, len(large) - 2 * MIB]
    assert archive.read("c.txt", limit=5000) == b"x" * 5000
    with pytest.raises(IntegrityError, match=r"c\.txt has 5000 bytes, at most 4999 are read"):
        archive.read("c.txt", limit=4999)
    with pytest.raises(IntegrityError, match=r"not a bundle: no d\.txt in it"):
        archive.read("d.txt", limit=1)
    archive.close()
    archive.close()
    assert [file.name for file in path.parent.iterdir()] == ["a.bundle"]


def test_what_does_not_shrink_is_stored_and_nothing_tells_when_or_by_whom_it_was_made(tmp_path: Path) -> None:
    names = ["a.bin", "a.jpg", "a.npz", "a.onnx", "a.png", "a.json", "a.xml", "manifest.sig"]
    write_archive(tmp_path / "a", [(name, b"x" * 100) for name in names])
    with zipfile.ZipFile(tmp_path / "a") as archive:
        infos = archive.infolist()
    stored = [info.filename for info in infos if info.compress_type == zipfile.ZIP_STORED]
    assert stored == names[:5]
    assert {info.compress_type for info in infos} == {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
    assert {info.date_time for info in infos} == {(1980, 1, 1, 0, 0, 0)}
    assert {info.external_attr for info in infos} == {0o100644 << 16}


def test_a_thousand_files_are_read_and_not_one_more(tmp_path: Path) -> None:
    opened(plain(tmp_path / "most", {f"{n}": b"" for n in range(1000)}))
    many = plain(tmp_path / "many", {f"{n}": b"" for n in range(1001)})
    with pytest.raises(IntegrityError, match=r"1001 files in a directory of .* at most 1000 files"):
        Archive(many)


def test_a_directory_of_a_mebibyte_is_read_and_not_a_byte_more(tmp_path: Path) -> None:
    def names(last: int) -> dict[str, bytes]:
        # 46 bytes an entry beside its name
        return {**{f"{n:02d}" + "x" * 65_000: b"" for n in range(16)}, "y" * last: b""}

    used = 16 * (46 + 65_002) + 46
    opened(plain(tmp_path / "most", names(MIB - used)))
    with pytest.raises(IntegrityError, match=f"17 files in a directory of {MIB + 1} bytes"):
        Archive(plain(tmp_path / "more", names(MIB - used + 1)))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compression_is_refused_by_name(tmp_path: Path, method: int) -> None:
    path = plain(tmp_path / "a", {"good": b"x"}, compression=method)
    with pytest.raises(IntegrityError) as caught:
        Archive(path)
    assert caught.value.problems == ("good: encrypted, or compressed in a way that bundles are not",)
    opened(plain(tmp_path / "b", {"good": b"x"}, compression=zipfile.ZIP_DEFLATED))


def test_encryption_is_refused_by_name(tmp_path: Path) -> None:
    def encrypt(data: bytearray) -> None:
        data[data.index(b"PK\1\2") + 8] |= 1

    with pytest.raises(IntegrityError, match="not made by edgeflow; do not use it") as caught:
        Archive(patched(plain(tmp_path / "a", {"secret": b"x"}), encrypt))
    assert caught.value.problems == ("secret: encrypted, or compressed in a way that bundles are not",)


@pytest.mark.parametrize(
    ("declared", "stored", "refused"),
    [(MIB, 1, False), (MIB + 64, 1, True), (2 * MIB, MIB // 32, False), (2 * MIB + 1, MIB // 32, True)],
)
def test_the_bounds_of_expansion(tmp_path: Path, declared: int, stored: int, refused: bool) -> None:
    def declare(data: bytearray) -> None:
        entry = data.index(b"PK\1\2")
        struct.pack_into("<LL", data, entry + 20, stored, declared)

    path = patched(plain(tmp_path / "a", {"bomb": b"x" * stored}), declare)
    if not refused:
        opened(path)
        return
    with pytest.raises(IntegrityError) as caught:
        Archive(path)
    assert caught.value.problems == (f"bomb: {stored} bytes that say they are {declared}",)


def test_everything_odd_is_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a"
    modes = (("link", 0o120777), ("pipe", 0o010644), ("plain", 0o644), ("twice", 0), ("twice", 0))
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the doubled name
        for name, mode in modes:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, b"x")
    with pytest.raises(IntegrityError) as caught:
        Archive(path)
    assert caught.value.problems == (
        "twice: there twice",
        "link: a link or folder, not a file",
        "pipe: a link or folder, not a file",
    )


@pytest.mark.parametrize("change", ["comment", "before", "after", "mark"])
def test_only_a_directory_at_the_very_end_and_without_comment_is_read(tmp_path: Path, change: str) -> None:
    data = plain(tmp_path / "a", {"x": b"x"}).read_bytes()
    altered = {
        "comment": data[:-2] + b"\1\0!",
        "before": b"#!/bin/sh\n" + data,
        "after": data + b"x",
        "mark": data[:-22] + b"PK\5\7" + data[-18:],
    }[change]
    (tmp_path / "b").write_bytes(altered)
    with pytest.raises(IntegrityError, match="not a bundle, or cut off; copy it to this box again"):
        Archive(tmp_path / "b")


def test_the_smallest_archive_is_its_end_record(tmp_path: Path) -> None:
    assert opened(plain(tmp_path / "empty", {})).names == []
    assert (tmp_path / "empty").stat().st_size == 22
    (tmp_path / "short").write_bytes((tmp_path / "empty").read_bytes()[1:])
    with pytest.raises(IntegrityError, match="not a bundle, or cut off"):
        Archive(tmp_path / "short")


def test_a_damaged_entry_is_named(tmp_path: Path) -> None:
    def damage(data: bytearray) -> None:
        data[data.index(b"content")] ^= 1

    archive = Archive(patched(plain(tmp_path / "a", {"file": b"content"}), damage))
    with pytest.raises(IntegrityError, match=rf"{tmp_path / 'a'}: file is damaged: .*copy the bundle again"):
        archive.whole("file")
    with pytest.raises(IntegrityError, match="none is damaged"):
        archive.whole("none")
    archive.close()


def test_large_entries_are_read_where_they_lie(tmp_path: Path) -> None:
    weights = np.random.default_rng(0).bytes(2_500_000)
    write_archive(tmp_path / "a", [("small.json", b"{}"), ("large.bin", weights), ("after.json", b"[]")])
    archive = Archive(tmp_path / "a")
    assert archive.whole("large.bin") == weights
    assert b"".join(archive.chunks("large.bin")) == weights
    assert [archive.whole(name) for name in ("small.json", "after.json")] == [b"{}", b"[]"]
    archive.close()


def test_a_large_entry_lies_where_the_directory_says(tmp_path: Path) -> None:
    def rename(data: bytearray) -> None:
        place = data.index(b"large.bin")  # before the entry; the directory has its own
        data[place : place + 5] = b"other"

    write_archive(tmp_path / "a", [("large.bin", bytes(2_500_000))])
    archive = Archive(patched(tmp_path / "a", rename))
    for read in (archive.whole, lambda name: list(archive.chunks(name))):
        with pytest.raises(IntegrityError, match=r"large.bin is damaged: .*copy the bundle again"):
            read("large.bin")
    archive.close()


def test_entries_on_each_other_are_refused(tmp_path: Path) -> None:
    write_archive(tmp_path / "a", [("one.bin", bytes(2_500_000)), ("two.bin", bytes(2_500_000))])
    data = bytearray((tmp_path / "a").read_bytes())
    begin = data.rindex(b"PK\1\2")  # the directory's record of the second one
    end = data.rindex(b"PK\5\6")
    first = data.index(b"PK\1\2")
    # The second entry's bytes are cut out; both records then tell of the first one's.
    cut = 2_500_000 + 30 + 7
    data[begin + 42 : begin + 46] = bytes(4)
    offset = int.from_bytes(data[end + 16 : end + 20], "little") - cut
    data[end + 16 : end + 20] = offset.to_bytes(4, "little")
    del data[first - cut : first]
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(IntegrityError, match="not made by edgeflow") as refused:
        Archive(tmp_path / "a")
    assert "entries that lie on each other" in refused.value.problems


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_archive(path, [("x", b"old")])
    before = path.read_bytes()

    def failing() -> object:
        yield "x", b"new"
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match=r"cannot be written: .*No space.*; check space and rights"):
        write_archive(path, failing())  # type: ignore[arg-type]
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_a_folder_or_a_missing_file_is_no_bundle(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.bundle", tmp_path / "none" / "a"):
        with pytest.raises(UsageError, match=f"edgeflow export CHECKPOINT -o {path.name}'"):
            Archive(path)
