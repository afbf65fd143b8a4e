"""Opening bundles: whole and unaltered, or refused with the reason."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeflow.bundles.bundle import Bundle, read_manifest
from edgeflow.errors import IntegrityError, UsageError
from faults.bundle_attacks import OURS, with_listed
from faults.rewritten_bundles import manifest_of, rewritten
from simulators.small_bundle import SIDE, VIEWS, small_bundle
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


def arrays(**named: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **named)  # type: ignore[arg-type]
    return buffer.getvalue()


MAPS = np.zeros((2, SIDE, SIDE), np.float32)
PART = np.float32(1.5)


def with_expected(tmp_path: Path, data: bytes) -> Bundle:
    good = small_bundle(tmp_path / "good", signer=OURS)
    with_listed("golden/maps.npz", data)(good, tmp_path / "b")
    return Bundle.open(tmp_path / "b")


def test_expected_maps_are_read_as_they_were_exported(tmp_path: Path) -> None:
    recorded = arrays(maps=MAPS + 2, part=PART, **{"maps/openvino-int8": MAPS + 3})
    with with_expected(tmp_path, recorded) as bundle:
        expected = bundle.golden_expectation(bundle.manifest.golden[0])
    assert (expected.maps == 2).all()
    assert expected.part == 1.5
    assert expected.masks is None


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ({"maps": MAPS}, r"golden/maps\.npz lacks maps, part; export the bundle again"),
        ({"part": PART}, r"golden/maps\.npz lacks maps, part"),
        ({"maps": MAPS, "part": np.zeros(2)}, "lacks expected maps; export the bundle again"),
        ({"maps": MAPS, "part": np.zeros(0)}, "lacks expected maps"),
        ({"maps": MAPS, "part": PART, "masks": MAPS}, "lacks foreground masks, or has needless ones"),
        ({"maps": np.array([None]), "part": PART}, r"golden/maps\.npz is not an array file"),
    ],
)
def test_expected_maps_that_are_not_whole_are_refused(
    tmp_path: Path, named: dict[str, np.ndarray], reason: str
) -> None:
    with with_expected(tmp_path, arrays(**named)) as bundle, pytest.raises(IntegrityError, match=reason):
        bundle.golden_expectation(bundle.manifest.golden[0])


def test_masks_are_read_where_the_bundle_has_a_foreground(tmp_path: Path) -> None:
    masks = np.ones((2, SIDE, SIDE), np.uint8)
    foreground = {"kind": "fixed", "masks": "golden/maps.npz"}
    good = small_bundle(tmp_path / "good", signer=OURS, foreground=foreground)
    with Bundle.open(good) as bundle:
        with pytest.raises(IntegrityError, match="lacks foreground masks"):
            bundle.golden_expectation(bundle.manifest.golden[0])
        with pytest.raises(IntegrityError, match=r"golden/maps\.npz lacks masks; export the bundle again"):
            bundle.fixed_masks()
    with_listed("golden/maps.npz", arrays(maps=MAPS, part=PART, masks=masks))(good, tmp_path / "b")
    with Bundle.open(tmp_path / "b") as bundle:
        found = [bundle.golden_expectation(bundle.manifest.golden[0]).masks, bundle.fixed_masks()]
    for each in found:
        assert each is not None
        assert each.dtype == np.uint8
        assert (each == masks).all()


def test_a_bundle_without_foreground_or_statistics_says_so(tmp_path: Path) -> None:
    with Bundle.open(small_bundle(tmp_path / "b")) as bundle:
        assert bundle.statistics() is None
        assert bundle.signature is None
        with pytest.raises(IntegrityError, match=f"{tmp_path / 'b'}: holds no fixed foreground masks"):
            bundle.fixed_masks()


def test_golden_images_are_those_of_their_views(tmp_path: Path) -> None:
    with Bundle.open(small_bundle(tmp_path / "b")) as bundle:
        part = bundle.manifest.golden[0]
        images = bundle.golden_images(part)
        expected = bundle.golden_expectation(part)
        assert set(images) == set(VIEWS)
        for view, heat in zip(VIEWS, expected.maps, strict=True):
            assert heat == pytest.approx(images[view].mean(axis=-1), rel=1e-5)
        assert bundle.read(f"golden/{VIEWS[0]}.png").startswith(b"\x89PNG")
        assert bundle.sha256 == hashlib.sha256(bundle.raw_manifest).hexdigest()
        assert bundle.path == tmp_path / "b"


def test_golden_images_of_a_deep_camera_are_read_as_they_were_recorded(tmp_path: Path) -> None:
    image = np.full((SIDE, SIDE), 2048, np.uint16)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    deep = small_bundle(
        tmp_path / "b",
        golden=buffer.getvalue(),
        preprocessing={"height": SIDE, "width": SIDE, "bits": 12},
    )
    with Bundle.open(deep) as bundle:
        images = bundle.golden_images(bundle.manifest.golden[0])
    assert {int(value) for image in images.values() for value in np.unique(image)} <= {127, 128}


def test_a_signature_that_is_none_names_the_bundle(tmp_path: Path) -> None:
    good = small_bundle(tmp_path / "good", signer=OURS)
    bad = rewritten(good, tmp_path / "b", {"manifest.sig": b"{}"}, {})
    with pytest.raises(IntegrityError, match=f"{bad}: manifest.sig is no signature"):
        Bundle.open(bad)


def test_the_manifest_alone_is_read_without_a_look_at_the_files(tmp_path: Path) -> None:
    good = small_bundle(tmp_path / "good")
    broken = rewritten(good, tmp_path / "b", {"mean.onnx": b"altered"}, {})
    assert read_manifest(broken).name == "bracket"
    with pytest.raises(IntegrityError, match=f"{tmp_path / 'c'}: not a bundle: no manifest.json in it"):
        read_manifest(rewritten(good, tmp_path / "c", {"manifest.json": None}, {}))
