"""Products of a box file: one name each, one bundle each, and one product's own box file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeflow.config.box import BoxConfig, config_sha256, load_config
from edgeflow.config.products import product_text, shown_name
from edgeflow.config.products.resolve import product_config, product_named
from edgeflow.contracts.documents.document import file_schema
from edgeflow.errors import ConfigError, UsageError

BOX = """\
station: {site: plant1, line: l3, station: s2}
PRODUCTS
trigger: TRIGGER
cameras:
  top: {kind: replay, parts: parts}
  left: {kind: replay, parts: parts}
sync: {max_skew_ms: 2}
decision: {deadline_ms: 250}
runtime: {backend: openvino}
mqtt: {host: broker}
outbox: {path: outbox.db}
"""
INTERVAL = "{source: interval, period_ms: 500}"


def box(folder: Path, products: str, trigger: str = INTERVAL, runtime: str = "") -> BoxConfig:
    text = BOX.replace("PRODUCTS", products).replace("TRIGGER", trigger)
    file = folder / "box.yaml"
    file.write_text(text.replace("openvino", f"openvino{runtime}"), encoding="utf-8")
    return load_config(file)


def problem(folder: Path, products: str, trigger: str = INTERVAL, runtime: str = "") -> str:
    with pytest.raises(ConfigError) as caught:
        box(folder, products, trigger, runtime)
    assert caught.value.exit_code == 2
    return "\n".join(caught.value.problems)


def test_a_path_alone_is_a_product_and_the_default_ones_bundle_is_the_boxs(tmp_path: Path) -> None:
    config = box(tmp_path, "products: {A: a.bundle, B: {bundle: b.bundle, deadline_ms: 90}}\nproduct: B")
    assert config.products is not None
    assert config.products["A"].bundle == tmp_path / "a.bundle"
    assert (config.product, config.bundle) == ("B", tmp_path / "b.bundle")
    assert box(tmp_path, "products: {1: a.bundle, 2: b.bundle}\nproduct: '2'").bundle.name == "b.bundle"
    assert box(tmp_path, "products: {A: a.bundle, B: b.bundle}").bundle.name == "a.bundle"


def test_a_box_with_one_bundle_is_written_and_hashed_as_before(tmp_path: Path) -> None:
    document = json.loads(box(tmp_path, "bundle: a.bundle").model_dump_json())
    assert {"products", "product"}.isdisjoint(document)
    assert "product" not in document["trigger"]
    assert "memory_mb" not in document["runtime"]


def test_a_products_box_file_has_its_bundle_its_limits_and_no_other_product(tmp_path: Path) -> None:
    config = box(
        tmp_path,
        "products: {A: a.bundle, B: {bundle: b.bundle, deadline_ms: 90, on_missing: degraded, min_views: 1}}",
    )
    own = product_config(config, "B", views=("left",))
    assert (own.bundle.name, own.product, list(own.products or ())) == ("b.bundle", "B", ["B"])
    assert (own.decision.deadline_ms, own.sync.on_missing, own.sync.min_views) == (90, "degraded", 1)
    assert list(own.cameras) == ["left"]
    other = product_config(config, "A")
    assert (other.decision, other.sync, list(other.cameras)) == (
        config.decision,
        config.sync,
        ["top", "left"],
    )
    assert config_sha256(own) != config_sha256(other)


def test_a_product_is_named_where_there_are_several(tmp_path: Path) -> None:
    config = box(tmp_path, "products: {A: a.bundle, B: b.bundle}")
    assert product_named(config, "B").bundle.name == "b.bundle"
    with pytest.raises(UsageError, match="name one of: A, B"):
        product_named(config, None)
    with pytest.raises(UsageError, match="no product 'C' in this box file; there are: A, B"):
        product_named(config, "C")
    alone = box(tmp_path, "bundle: a.bundle")
    assert product_named(alone, None) is alone
    with pytest.raises(UsageError, match="its box file has one bundle"):
        product_named(alone, "A")


@pytest.mark.parametrize(
    ("products", "words"),
    [
        ("products: {A: a.bundle, a: b.bundle}", "'A' and 'a': people and controllers would take"),
        ("products: {\u00e9: a.bundle, e\u0301: b.bundle}", "would take these names for one"),
        ("products: {1: a.bundle, 1.0: b.bundle}", "'1' and '1.0': people and controllers would take"),
        ("products: {ss: a.bundle, ß: b.bundle}", "would take these names for one"),
        ("products: {A: a.bundle, A: b.bundle}", "key given twice"),
        ("products: {}", "needs at least 1 entry"),
        ("products: [a.bundle]", "expected a section of keys"),
        ("products: {A: 3}", "expected a section of keys"),
        ("products: {A/B: a.bundle}", "has one of / + # $"),
        ("products: {' A': a.bundle}", "begins or ends with a space"),
        ('products: {"A\\u0007": a.bundle}', "characters that cannot be seen"),
        ("products: {" + "A" * 65 + ": a.bundle}", "must have 1 to 64 characters"),
        ("products: {A: {bundle: a.bundle, min_views: 1}}", "goes with on_missing: degraded"),
        ("bundle: a.bundle\nproducts: {A: b.bundle}", "bundle and products exclude each other"),
        ("products: {A: a.bundle}\nproduct: B", "'B' is none of the products: A"),
        ("bundle: a.bundle\nproduct: A", "product goes with products"),
        ("products: {A: a.bundle}\ntrust: {product: x}", "give products.NAME.name"),
        ("{}", "bundle: required key is missing"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, products: str, words: str) -> None:
    found = problem(tmp_path, "web: {}" if products == "{}" else products)
    assert words in found
    if "products:" in products:
        assert "bundle: required key" not in found, "the products are wrong, and nothing else"


def test_triggers_that_name_the_product_come_by_message_and_leave_no_other_choice(tmp_path: Path) -> None:
    by_message = "{source: mqtt, product: variant}"
    assert box(tmp_path, "products: {A: a.bundle}", by_message).trigger.product == "variant"
    assert "exclude each other" in problem(tmp_path, "products: {A: a.bundle}\nproduct: A", by_message)
    assert "trigger.product goes with products" in problem(tmp_path, "bundle: a.bundle", by_message)
    timed = "{source: interval, period_ms: 5, product: variant}"
    assert "source: mqtt, or part_ids: mqtt" in problem(tmp_path, "products: {A: a.bundle}", timed)
    own = "{source: mqtt, product: part_id}"
    assert "a field of edgeflow's own" in problem(tmp_path, "products: {A: a.bundle}", own)


def test_a_memory_bound_is_for_several_bundles(tmp_path: Path) -> None:
    assert "runtime.memory_mb goes with products" in problem(
        tmp_path, "bundle: a.bundle", runtime=", memory_mb: 100"
    )


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("A", "A"),
        ("A\0\0", "A"),
        ("e\u0301", "\u00e9"),
        (1, "1"),
        (1.0, "1"),
        (2.5, "2.5"),
        (" A", " A"),
        (True, None),
        (None, None),
        ("", None),
        (float("nan"), None),
        (["A"], None),
    ],
)
def test_a_controllers_value_is_a_name_as_it_is_written(value: object, name: str | None) -> None:
    assert product_text(value) == name


def test_a_strange_name_is_shown_short_and_without_what_steers_a_terminal() -> None:
    assert shown_name("\x1b[2J" + "ä" * 4096) == "?[2J" + "ä" * 36 + "…"


def test_an_editor_takes_a_box_file_with_either(tmp_path: Path) -> None:
    schema = file_schema(BoxConfig)
    assert "bundle" not in schema["required"]
    assert schema["oneOf"] == [{"required": ["bundle"]}, {"required": ["products"]}]
    entry = schema["properties"]["products"]["anyOf"][0]["additionalProperties"]
    while "$ref" in entry:
        entry = schema["$defs"][entry["$ref"].rpartition("/")[2]]
    assert [one["type"] for one in entry["anyOf"]] == ["string", "object"]


def test_a_products_cameras_are_the_boxs_with_its_own_keys(tmp_path: Path) -> None:
    config = box(tmp_path, "products: {A: a.bundle, B: {bundle: b.bundle, cameras: {top: {parts: other}}}}")
    own = product_config(config, "B")
    assert own.cameras["top"].parts == tmp_path / "other"  # type: ignore[union-attr]
    assert own.cameras["left"] == config.cameras["left"]
    assert product_config(config, "A").cameras == config.cameras


@pytest.mark.parametrize(
    ("cameras", "words"),
    [
        ("{bottom: {parts: other}}", "products.B.cameras.bottom: no such camera; there are: top, left"),
        ("{top: other}", "products.B.cameras.top: expected a section of keys"),
        ("{top: {kind: v4l2}}", "products.B.cameras.top.kind: a camera is of one kind"),
        ("{top: {exposure_us: 5}}", "products.B.cameras.top.exposure_us (line 2): unknown key"),
    ],
)
def test_settings_that_a_camera_does_not_have_are_refused(tmp_path: Path, cameras: str, words: str) -> None:
    assert words in problem(
        tmp_path, f"products: {{A: a.bundle, B: {{bundle: b.bundle, cameras: {cameras}}}}}"
    )


def test_cameras_cannot_be_set_between_two_triggers(tmp_path: Path) -> None:
    products = "products: {A: {bundle: a.bundle, cameras: {top: {parts: other}}}}"
    found = problem(tmp_path, products, "{source: mqtt, product: variant}")
    assert "products.A.cameras goes with the command 'product'" in found
