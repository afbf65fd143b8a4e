"""The bundle's manifest: complete, consistent, of a known version, or refused."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from edgeflow.contracts.manifest import SCHEMA_VERSION, parse_manifest
from edgeflow.errors import IntegrityError

HASH = {"sha256": "0" * 64, "size": 1}
TENSOR = {"name": "images", "dtype": "uint8", "shape": [2, 64, 96, 3]}
GRAPH = {
    "backend": "openvino",
    "precision": "fp32",
    "model": "graphs/model.xml",
    "weights": "graphs/model.bin",
    "input": TENSOR,
    "output": {"name": "maps", "dtype": "float32", "shape": [2, 16, 24]},
    "measured_error": 0.0,
    "tolerance": 0.001,
}
SCALE = {"centre": 1.0, "threshold": 3.0}
GOOD: dict[str, Any] = {
    "schema_version": SCHEMA_VERSION,
    "name": "bracket",
    "created_by": "edgeflow 0.1.0",
    "views": [{"id": "top", "crop": [0, 0, 10, 10]}, {"id": "left", "mirror": True}],
    "preprocessing": {"height": 64, "width": 96},
    "graphs": [GRAPH],
    "scoring": {"view": "top_k", "top_k": 5, "pixel_statistics": "statistics.npz"},
    "thresholds": {
        "part": SCALE,
        "views": {"top": SCALE, "left": SCALE},
        "false_reject_rate": 0.01,
        "normal_parts": 40,
    },
    "golden": [
        {"part_id": "p1", "images": {"top": "g/top.png", "left": "g/left.png"}, "expected": "g/maps.npz"}
    ],
    "recipe": {"name": "bracket"},
    "provenance": {"parts": "recorded"},
    "files": dict.fromkeys(
        ["graphs/model.xml", "graphs/model.bin", "statistics.npz", "g/top.png", "g/left.png", "g/maps.npz"],
        HASH,
    ),
}


def changed(path: str, value: object) -> dict[str, Any]:
    """The good manifest with one value replaced, or removed where ``value`` is Ellipsis."""
    document = copy.deepcopy(GOOD)
    *steps, last = [int(step) if step.isdigit() else step for step in path.split("/")]
    target: Any = document
    for step in steps:
        target = target[step]
    if value is ...:
        del target[last]
    else:
        target[last] = value
    return document


def refusal(document: object) -> str:
    with pytest.raises(IntegrityError) as caught:
        parse_manifest(json.dumps(document).encode(), what="a.bundle")
    assert caught.value.exit_code == 5
    assert caught.value.message.startswith("a.bundle: manifest")
    return str(caught.value)


def test_a_good_manifest_is_read() -> None:
    manifest = parse_manifest(json.dumps(GOOD).encode(), what="a.bundle")
    assert manifest.view_ids == ("top", "left")
    assert manifest.graphs[0].id == "openvino-fp32"
    assert manifest.views[0].crop == (0, 0, 10, 10)
    again = parse_manifest(manifest.model_dump_json().encode(), what="a.bundle")
    assert again == manifest


@pytest.mark.parametrize("version", ["2.0", "2", "10.1", "99999999999999999999999.0", "9" * 5000, 2, 2.5])
def test_a_newer_version_says_to_update_before_anything_else_is_looked_at(version: object) -> None:
    text = refusal({"schema_version": version, "created_by": "edgeflow 9.1", "unknown": 1})
    assert "is newer than this edgeflow reads" in text
    assert "newer bundle: update the box to edgeflow 9.1 or later" in text
    assert "unknown" not in text
    assert len(text) < 300


@pytest.mark.parametrize("minor", ["next", "10", "0next", "9" * 5000])
def test_a_newer_minor_version_may_have_fields_that_change_verdicts(minor: str) -> None:
    known = int(SCHEMA_VERSION.partition(".")[2])
    version = f"1.{minor.replace('next', str(known + 1))}"
    text = refusal({**GOOD, "schema_version": version})
    assert f"manifest version {version[:20]} is newer than this edgeflow reads" in text
    assert "newer bundle: update the box to edgeflow 0.1.0 or later" in text


@pytest.mark.parametrize("maker", [None, 7, "\x1b[2J"])
def test_a_newer_bundle_that_does_not_say_who_made_it(maker: object) -> None:
    text = refusal({"schema_version": "1.99999", "created_by": maker})
    assert "newer bundle: update the box to the maker's version or later" in text


def test_a_bundle_of_every_earlier_minor_version_is_read() -> None:
    for minor in range(int(SCHEMA_VERSION.partition(".")[2]) + 1):
        text = json.dumps({**GOOD, "schema_version": f"1.{minor}"}).encode()
        assert parse_manifest(text, what="a.bundle").schema_version == f"1.{minor}"


def test_an_older_major_version_is_refused() -> None:
    assert "is older than this edgeflow reads" in refusal(changed("schema_version", "0.9"))


@pytest.mark.parametrize("version", ["", "one", "1", "1.0.0", "²", None, [1]])
def test_a_version_that_is_none_is_refused(version: object) -> None:
    assert "schema_version: " in refusal(changed("schema_version", version))


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("views/0/crpo", [0, 0, 1, 1], "views.0.crpo: unknown key; did you mean 'crop'?"),
        ("name", ..., "name: required key is missing"),
        ("views/1/id", "top", "views: an id is used twice"),
        ("views", [], "views: needs at least 1 entry"),
        ("views/0/id", "../x", "views.0.id: expected a name of up to 64 letters"),
        ("views/0/crop", [0, 0, 0, 5], "views.0.crop.2: must be greater than 0"),
        ("thresholds/views/left", ..., "thresholds.views: not the same ids as views"),
        ("thresholds/views/back", SCALE, "thresholds.views: not the same ids as views"),
        ("thresholds/part/threshold", 1.0, "threshold 1.0 is not above centre 1.0"),
        ("thresholds/part/threshold", "3", "thresholds.part.threshold: expected a number"),
        ("thresholds/false_reject_rate", 1.5, "thresholds.false_reject_rate: must be at most 1"),
        ("thresholds/normal_parts", 0, "thresholds.normal_parts: must be greater than 0"),
        ("golden", [], "golden: needs at least 1 entry"),
        ("golden/0/images/left", ..., "golden part p1: images are not one per view"),
        ("graphs", [GRAPH, GRAPH], "graphs: backend and precision used twice"),
        ("graphs/0/input/shape", [3, 64, 96, 3], "graph openvino-fp32: tensor shapes do not fit"),
        ("graphs/0/input/shape", [2, 96, 64, 3], "graph openvino-fp32: tensor shapes do not fit"),
        ("graphs/0/output/shape", [2, 16], "graph openvino-fp32: tensor shapes do not fit"),
        ("graphs/0/output/shape", [1, 16, 24], "graph openvino-fp32: tensor shapes do not fit"),
        ("graphs/0/tolerance", 0, "graphs.0.tolerance: must be greater than 0"),
        ("graphs/0/backend", "tensorrt", "graphs.0.backend: unknown value 'tensorrt'"),
        ("graphs/0/model", "../model.xml", "graphs.0.model: "),
        ("graphs/0/model", "/etc/passwd", "graphs.0.model: "),
        ("graphs/0/model", "a//b", "graphs.0.model: "),
        ("graphs/0/model", "a\\b", "graphs.0.model: "),
        ("graphs/0/model", "a/.b", "graphs.0.model: "),
        ("graphs/0/model", "model\n", "graphs.0.model: "),
        ("scoring/top_k", ..., "top_k goes with view: top_k"),
        ("scoring/view", "max", "top_k goes with view: top_k"),
        ("files/statistics.npz", ..., "files: no hash for statistics.npz"),
        ("files/g~", HASH, "files.g~: "),
        ("files/statistics.npz", {"sha256": "Z" * 64, "size": 1}, "files.statistics.npz.sha256: "),
        ("files/statistics.npz", {"sha256": "0" * 64, "size": -1}, "size: must be at least 0"),
    ],
)  # fmt: skip
def test_anything_missing_unknown_or_contradictory_is_refused(
    path: str, value: object, sentence: str
) -> None:
    assert sentence in refusal(changed(path, value))


@pytest.mark.parametrize("name", ["graphs/model.xml", "graphs/model.bin", "g/top.png", "g/maps.npz"])
def test_every_file_that_is_used_needs_a_hash(name: str) -> None:
    document = copy.deepcopy(GOOD)
    del document["files"][name]
    assert f"files: no hash for {name}" in refusal(document)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 100_000, b"1" * 5000])
def test_what_is_not_json_is_refused(text: bytes) -> None:
    with pytest.raises(IntegrityError, match=r"a\.bundle: manifest\.json is not JSON"):
        parse_manifest(text, what="a.bundle")


@pytest.mark.parametrize(
    "text", [b"[]", b"null", b'"x"', b'{"recipe": NaN}', b'{"a":' * 300 + b"1" + b"}" * 300]
)
def test_json_that_is_no_manifest_is_refused_in_a_short_message(text: bytes) -> None:
    with pytest.raises(IntegrityError) as caught:
        parse_manifest(text, what="a.bundle")
    assert len(str(caught.value)) < 1000
