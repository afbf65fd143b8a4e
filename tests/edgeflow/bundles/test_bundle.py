"""Opening bundles: whole and unaltered, or refused with the reason."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from edgeflow.bundles.bundle import Bundle
from edgeflow.errors import IntegrityError, UsageError
from faults.rewritten_bundles import manifest_of, rewritten
from tests.support.tiny import TinyProduct


def test_a_whole_bundle_opens_and_gives_its_golden_parts(tiny: TinyProduct) -> None:
    with Bundle.open(tiny.bundle) as bundle:
        part = bundle.manifest.golden[0]
        images = bundle.golden_images(part)
        expected = bundle.golden_expectation(part)
        statistics = bundle.statistics()
    assert set(images) == {"C1", "C2", "C3"}
    assert all(image.shape == (64, 64, 3) for image in images.values())
    assert expected.maps.shape == (3, 8, 8)
    assert set(expected.recorded) == {"openvino-int8", "onnxruntime-int8"}
    assert statistics is not None
    assert statistics.mean.shape == (3, 8, 8)


def test_missing_bundle_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="edgeflow export") as caught:
        Bundle.open(tmp_path / "none.bundle")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.99])
def test_truncated_bundle_is_refused(tiny: TinyProduct, tmp_path: Path, keep: float) -> None:
    data = tiny.bundle.read_bytes()
    cut = tmp_path / "cut.bundle"
    cut.write_bytes(data[: int(keep if keep > 1 else keep * len(data))])
    with pytest.raises(IntegrityError) as caught:
        Bundle.open(cut)
    assert caught.value.exit_code == 5


def test_every_single_flipped_bit_is_noticed(tiny: TinyProduct, tmp_path: Path) -> None:
    """Bits anywhere in the files' contents; zip's own padding fields may change without effect."""
    data = bytearray(tiny.bundle.read_bytes())
    with zipfile.ZipFile(tiny.bundle) as archive:
        starts = [
            (info.header_offset + 30 + len(info.filename), info.compress_size) for info in archive.infolist()
        ]
    for start, size in starts:
        place = start + size // 2
        data[place] ^= 1
        altered = tmp_path / "altered.bundle"
        altered.write_bytes(data)
        with pytest.raises(IntegrityError):
            Bundle.open(altered)
        data[place] ^= 1


def test_altered_file_is_named(tiny: TinyProduct, tmp_path: Path) -> None:
    altered = rewritten(tiny.bundle, tmp_path / "b", {"openvino/int8.bin": b"\0" * 100}, {})
    with pytest.raises(IntegrityError, match=r"openvino/int8\.bin"):
        Bundle.open(altered)


def test_left_out_file_is_named(tiny: TinyProduct, tmp_path: Path) -> None:
    altered = rewritten(tiny.bundle, tmp_path / "b", {"onnx/fp32.onnx": None}, {})
    with pytest.raises(IntegrityError, match=r"onnx/fp32\.onnx: listed in the manifest, not in the file"):
        Bundle.open(altered)


@pytest.mark.parametrize("name", ["extra.txt", "../outside.txt", "/etc/passwd", "golden/../../x"])
def test_file_that_the_manifest_does_not_list_is_refused(
    tiny: TinyProduct, tmp_path: Path, name: str
) -> None:
    altered = rewritten(tiny.bundle, tmp_path / "b", {}, {name: b"x"})
    with pytest.raises(IntegrityError, match="not listed"):
        Bundle.open(altered)


def test_doubled_name_is_refused(tiny: TinyProduct, tmp_path: Path) -> None:
    altered = rewritten(tiny.bundle, tmp_path / "b", {}, {"onnx/fp32.onnx": b"x"})
    with pytest.raises(IntegrityError):
        Bundle.open(altered)


@pytest.mark.parametrize("name", ["../evil.onnx", "/abs.onnx", "a/../b.onnx", "a\\b.onnx", ""])
def test_manifest_with_a_dangerous_name_is_refused(tiny: TinyProduct, tmp_path: Path, name: str) -> None:
    document = manifest_of(tiny.bundle)
    files = document["files"]
    assert isinstance(files, dict)
    files[name] = {"sha256": "0" * 64, "size": 1}
    altered = rewritten(tiny.bundle, tmp_path / "b", {"manifest.json": json.dumps(document).encode()}, {})
    with pytest.raises(IntegrityError):
        Bundle.open(altered)


def test_newer_manifest_says_to_update(tiny: TinyProduct, tmp_path: Path) -> None:
    document = manifest_of(tiny.bundle) | {"schema_version": "2.0", "something_new": 1}
    altered = rewritten(tiny.bundle, tmp_path / "b", {"manifest.json": json.dumps(document).encode()}, {})
    with pytest.raises(IntegrityError, match=r"2\.0 is newer .* newer bundle: update the box to edgeflow "):
        Bundle.open(altered)


def test_file_larger_than_the_manifest_says_is_not_read_whole(tiny: TinyProduct, tmp_path: Path) -> None:
    bomb = rewritten(tiny.bundle, tmp_path / "b", {"onnx/fp32.onnx": b"\0" * 50_000_000}, {})
    with pytest.raises(IntegrityError, match=r"onnx/fp32\.onnx: 50000000 bytes, listed with .* \(altered\)"):
        Bundle.open(bomb)
