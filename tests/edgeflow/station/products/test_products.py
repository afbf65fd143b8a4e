"""Products of a box on real small bundles: each part by its own product's bundle, or by none."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgeflow.alarms import Alarms
from edgeflow.bundles.bundle import Bundle
from edgeflow.cameras.camera import Frame
from edgeflow.capture.part_product import PartProduct, ProductTimeline
from edgeflow.capture.view_set import ViewSet
from edgeflow.clock import monotonic_ns
from edgeflow.config.box import BoxConfig, load_config
from edgeflow.contracts.images import read_image
from edgeflow.contracts.manifest import Graph
from edgeflow.contracts.messages import Alarm, Decision, Result, State, from_json, to_json
from edgeflow.contracts.preprocess import reading_of
from edgeflow.decision.session import Session
from edgeflow.errors import ConfigError, UsageError
from edgeflow.station.active_bundle import LoadedBundle
from edgeflow.station.line import InspectionLine
from edgeflow.station.operations import Operations
from edgeflow.station.process.service_manager import ServiceManager
from edgeflow.station.products import opening
from edgeflow.station.products.chosen import first_product, keep_product
from edgeflow.station.products.loader import ProductLoader
from edgeflow.station.products.memory import require_room_for_two
from edgeflow.station.products.no_bundle import NoBundle
from edgeflow.station.products.opening import load_bundles, open_bundles
from edgeflow.station.products.product import Product
from edgeflow.station.products.resident import MemoryShortError, ProductBundles
from edgeflow.station.state import StationState
from simulators.small_box import write_box
from simulators.small_bundle import VIEWS, small_bundle

A, B = PartProduct(name="A"), PartProduct(name="B")


class Told:
    """Messages of a box, kept in memory."""

    def __init__(self) -> None:
        self.alarms: dict[str, str] = {}
        self.decisions: list[Decision] = []
        self.results: list[Result] = []
        self.births: list[str] = []
        self.states: list[State] = []

    def publish_alarm(self, name: str, alarm: Alarm | None) -> None:
        if alarm is None:
            self.alarms.pop(name, None)
        else:
            self.alarms[name] = alarm.text

    def publish_state(self, state: State) -> None:
        self.states.append(state)

    def publish_decision(self, decision: Decision) -> bool:
        self.decisions.append(decision)
        return True

    def put(self, result: Result) -> None:
        self.results.append(result)

    def publish_birth(self, bundle: Bundle, _graph: Graph, _chosen_by: str) -> None:
        self.births.append(bundle.manifest.name)


class Box:
    """A box with products A and B, without cameras and broker."""

    def __init__(
        self,
        folder: Path,
        products: dict[str, Any],
        *,
        trust: bool = False,
        memory_mb: float = 10_000,
        **more: Any,
    ) -> None:
        path = write_box(folder, 1)
        document = yaml.safe_load(path.read_text())
        del document["bundle"]
        document.update({"products": products, **more})
        if not trust:  # a bundle that is new to a box is verified in a process of its own first
            del document["trust"]
        document["runtime"] |= {"memory_mb": memory_mb}
        path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
        self.config: BoxConfig = load_config(path)
        self.told = Told()
        self.alarms = Alarms("s", self.told)
        self.session = Session(id="s")
        self.timeline = ProductTimeline(first_product(self.config))
        self.opening = open_bundles(self.config, self.timeline.now.name)
        bundles = load_bundles(
            self.opening,
            self.timeline,
            session=self.session,
            alarms=self.alarms,
            release=LoadedBundle.close,
            patience=lambda _name: nullcontext(),
        )
        assert isinstance(bundles, ProductBundles)
        self.bundles = bundles
        state = StationState(self.told, "s", lambda: "x", lambda: self.timeline.now.name)
        for event in ("opened", "prepared", "start"):
            state.move(event, "")  # type: ignore[arg-type]
        self.operations = Operations(
            config=self.config,
            session=self.session,
            bundles=bundles,
            state=state,
            alarms=self.alarms,
            evidence=None,
            publish_birth=self.told.publish_birth,
            manager=ServiceManager(""),
        )
        self._numbers = itertools.count()

    def inspect(self, *products: PartProduct) -> list[Result]:
        """Inspect one part of each product; return their results."""
        line = InspectionLine(
            bundles=self.bundles,
            gate=self.told,
            outbox=self.told,
            show=lambda _result: None,
            clock=monotonic_ns,
        )
        before = len(self.told.results)
        line.run([self.part(product) for product in products])
        line.scoring.close(5)
        return self.told.results[before:]

    def part(self, product: PartProduct, **fields: Any) -> ViewSet:
        number, now_ns = next(self._numbers), monotonic_ns()
        folder = self.config.outbox.path.parents[1] / "parts" / f"part{number % 4}"
        reading = reading_of(self.opening.first.bundle.manifest.preprocessing)
        frames = {
            view: Frame(
                view=view,
                image=read_image(folder / f"{view}.png", reading),
                captured_ns=now_ns,
                frame_id=number,
            )
            for view in VIEWS
        }
        return ViewSet(
            **{
                "trigger_id": f"t{number}",
                "part_id": f"p{number}",
                "triggered_ns": now_ns,
                "frames": frames,
                "missing": (),
                "skew_ms": 0.0,
                "product": product,
                **fields,
            }
        )

    def close(self) -> None:
        self.bundles.close()
        self.opening.close()


def bundles_of(folder: Path) -> None:
    (folder / "bundles").mkdir(exist_ok=True)
    small_bundle(folder / "bundles" / "gasket.bundle", name="gasket", version=5)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    write_box(tmp_path, 1)
    bundles_of(tmp_path)
    made = Box(
        tmp_path,
        {"A": "bundles/current.bundle", "B": {"bundle": "bundles/gasket.bundle", "deadline_ms": 9000}},
    )
    yield made
    made.close()


def test_every_part_is_judged_by_the_bundle_of_its_own_product(box: Box) -> None:
    box.timeline.choose(A)
    found = box.inspect(A, B, A, B)
    assert [(r.product, r.bundle.name) for r in found] == [("A", "bracket"), ("B", "gasket")] * 2
    assert [d.product for d in box.told.decisions] == ["A", "B", "A", "B"]
    assert {r.verdict for r in found} == {"OK"}
    assert [r.deadline.deadline_ms for r in found] == [10_000, 9000, 10_000, 9000]


def test_a_part_of_no_known_product_is_undecided_whatever_its_policies_say(box: Box) -> None:
    for product, words in (
        (PartProduct(name=None, problem="unknown product 'Z'"), "unknown product 'Z'"),
        (PartProduct(name="Z"), "unknown product 'Z'"),
    ):
        (result,) = box.inspect(product)
        assert (result.verdict, result.reason_code) == ("UNDECIDED", "unknown_product")
        assert words in result.reason
        assert (result.bundle.name, result.bundle.sha256, result.threshold) == ("", "", None)
        assert [view.id for view in result.views] == list(VIEWS)
        assert from_json(Result, to_json(result)) == result
    chosen, part = box.bundles.for_part(replace(box.part(A), product=None))
    assert isinstance(chosen, NoBundle)
    assert part.fault_code == "unknown_product"


def test_a_missing_view_of_an_unknown_product_makes_no_ng(box: Box) -> None:
    """``on_missing: ng`` is about parts whose views are known."""
    part = box.part(PartProduct(name=None, problem="unknown product"), frames={}, missing=VIEWS)
    chosen, without = box.bundles.for_part(part)
    assert isinstance(chosen, NoBundle)
    assert (without.missing, without.fault_code) == ((), "unknown_product")


def test_products_see_the_views_of_their_bundle_in_its_order(box: Box) -> None:
    whole = box.part(A)
    frames = {view: whole.frames[view] for view in reversed(VIEWS)}
    frames["bottom"] = whole.frames["top"]
    loaded, part = box.bundles.for_part(box.part(A, frames=frames, missing=("bottom",)))
    assert isinstance(loaded, LoadedBundle)
    assert (tuple(part.frames), part.missing) == (VIEWS, ())


def test_whoever_collects_parts_knows_the_views_of_every_product(box: Box) -> None:
    assert box.timeline.views(A, 0) == VIEWS
    assert box.timeline.views(PartProduct(name="Z"), 0) is None
    assert box.timeline.views(None, 0) is None  # none is chosen yet: such a part waits for all cameras
    box.timeline.choose(B)
    assert box.timeline.views(None, monotonic_ns()) == VIEWS


def test_a_view_that_was_not_waited_for_is_missing_where_the_bundle_has_it_by_now(box: Box) -> None:
    whole = box.part(A)
    frames = {view: whole.frames[view] for view in VIEWS[1:]}
    _, part = box.bundles.for_part(box.part(A, frames=frames, missing=()))
    assert part.missing == VIEWS[:1]


def test_a_command_changes_the_product_of_later_triggers_and_outlives_a_restart(box: Box) -> None:
    assert box.timeline.now.name is None
    assert "none is chosen yet" in box.timeline.now.problem
    before_ns = monotonic_ns()
    text = box.operations.product({"name": "B"})
    assert text.startswith("parts triggered from now on are of product B (gasket version 5)")
    assert (box.timeline.now, box.timeline.at(before_ns).name) == (B, None)
    assert box.told.births[-1] == "gasket"
    assert box.told.states[-1].product == "B"
    assert first_product(box.config) == B


def test_a_product_that_there_is_not_is_refused_and_the_present_one_stays(box: Box) -> None:
    box.operations.product({"name": "A"})
    for name in ("C", "a", "A ", "", "Ä" * 256, "A\0"):
        with pytest.raises(UsageError, match="there are: A, B; the product stays"):
            box.operations.product({"name": name})
    with pytest.raises(UsageError, match="give one argument, name=PRODUCT"):
        box.operations.product({})
    assert box.timeline.now == A
    assert first_product(box.config) == A


def test_the_kept_choice_gives_way_to_a_changed_box_file_and_never_to_a_guess(box: Box) -> None:
    keep_product(box.config, "B")
    of_file = box.config.model_copy(update={"product": "A"})
    assert first_product(of_file) == A, "the box file names a product now, and did not then"
    gone = box.config.model_copy(update={"products": {"A": (box.config.products or {})["A"]}})
    assert first_product(gone).name is None
    assert "not in the box file any more" in first_product(gone).problem
    box.config.product_path.write_text('{"schema": "edgeflow/product/1", "product"')
    assert first_product(box.config).name is None
    assert "cannot be read" in first_product(box.config).problem


def test_a_bundle_is_exchanged_for_one_product_alone(box: Box, tmp_path: Path) -> None:
    text = box.operations.reload({"product": "A", "bundle": "two.bundle"})
    assert "bracket version 2" in text
    assert "from the next part of product A on" in text
    a, b = box.inspect(A, B)
    with Bundle.open(tmp_path / "bundles" / "two.bundle") as two:
        assert a.bundle.sha256 == two.sha256
    assert b.bundle.name == "gasket"
    assert "bracket version 1" in box.operations.rollback({"product": "A"})
    (a,) = box.inspect(A)
    with Bundle.open(tmp_path / "bundles" / "one.bundle") as one:
        assert a.bundle.sha256 == one.sha256
    with pytest.raises(UsageError, match="name one of: A, B"):
        box.operations.reload({})
    small_bundle(tmp_path / "bundles" / "other.bundle", name="gasket", version=9)
    with pytest.raises(UsageError, match="it is of product 'gasket'"):
        box.operations.reload({"product": "A", "bundle": "other.bundle"})
    assert any(name.startswith("golden_parts.A") for name in box.told.alarms)


def test_a_link_of_two_products_is_not_changed_for_one(tmp_path: Path) -> None:
    box = Box(tmp_path, {"A": "bundles/current.bundle", "B": "bundles/current.bundle"})
    try:
        assert [r.product for r in box.inspect(A, B)] == ["A", "B"], "one bundle under two names is allowed"
        with pytest.raises(UsageError, match="also the bundle of product 'B'"):
            box.operations.reload({"product": "A", "bundle": "two.bundle"})
        assert "bracket version 1" in box.operations.reload({"product": "A"})
    finally:
        box.close()


def test_a_product_whose_bundle_does_not_run_leaves_the_others_and_comes_back_by_reload(
    tmp_path: Path,
) -> None:
    write_box(tmp_path, 1)
    bundles_of(tmp_path)
    broken = tmp_path / "bundles" / "gasket.bundle"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:-200])
    box = Box(tmp_path, {"A": "bundles/current.bundle", "B": "bundles/gasket.bundle"})
    try:
        assert "product 'B' does not run here" in box.told.alarms["product_failed.B"]
        a, b = box.inspect(A, B)
        assert (a.verdict, b.verdict, b.reason_code, b.product) == ("OK", "UNDECIDED", "unknown_product", "B")
        with pytest.raises(UsageError, match="the product stays"):
            box.operations.product({"name": "B"})
        broken.write_bytes(whole)
        box.operations.reload({"product": "B"})
        assert "product_failed.B" not in box.told.alarms
        (b,) = box.inspect(B)
        assert (b.verdict, b.bundle.name) == ("OK", "gasket")
    finally:
        box.close()


def test_products_with_one_bundle_name_keep_their_own_versions(tmp_path: Path) -> None:
    """Calibrated for one product and the other, bundles of one recipe bear one name."""
    products = {"A": "bundles/one.bundle", "B": "bundles/two.bundle"}
    for _ in range(2):  # the second start knows what ran
        box = Box(tmp_path, products, trust=True)
        assert [r.bundle.name for r in box.inspect(A, B)] == ["bracket", "bracket"]
        assert box.told.alarms == {}
        box.close()


def test_a_camera_of_no_product_is_refused(tmp_path: Path) -> None:
    write_box(tmp_path, 1)
    with pytest.raises(ConfigError) as caught:
        Box(
            tmp_path,
            {"A": "bundles/one.bundle"},
            cameras={v: {"kind": "replay", "parts": "parts"} for v in (*VIEWS, "bottom")},
        )
    assert "cameras.bottom: no view of the bundle" in str(caught.value)


def test_the_one_unused_for_longest_gives_way_and_comes_back_as_it_was_verified(box: Box) -> None:
    box.operations.product({"name": "A"})
    for name, mb in (("A", 60.0), ("B", 60.0)):
        box.bundles.product(name).mb = mb
    box.bundles._memory_mb = 100.0
    box.inspect(A)
    assert {p["name"]: p["loaded"] for p in box.bundles.status()} == {"A": True, "B": True}
    third = Product(name="C", config=box.bundles.product("B").config, mb=30.0)
    box.bundles._make_room(third, 30.0, 0.0)
    assert {p["name"]: p["loaded"] for p in box.bundles.status()} == {"A": True, "B": False}

    asked: list[str] = []
    box.bundles.request = asked.append
    (b,) = box.inspect(B)
    assert (b.verdict, b.reason_code, asked) == ("UNDECIDED", "unknown_product", ["B"])
    assert "is not loaded yet" in b.reason
    with pytest.raises(MemoryShortError, match="in use are 'A' 60 MB"):
        box.bundles.require("B", least_idle_s=60.0)
    box.bundles._memory_mb = 200.0
    assert box.bundles.require("B", least_idle_s=60.0) > 0
    (b,) = box.inspect(B)
    assert (b.verdict, b.bundle.name) == ("OK", "gasket")


def test_one_bundle_stays_loaded_whatever_becomes_of_the_one_that_is_wanted(box: Box) -> None:
    for name, used_ns in (("A", 1), ("B", 2)):
        product = box.bundles.product(name)
        product.mb, product.used_ns = 60.0, used_ns
    box.bundles._memory_mb = 130.0
    third = Product(name="C", config=box.config, mb=70.0)
    box.bundles._make_room(third, 70.0, 0.0)
    assert {p["name"]: p["loaded"] for p in box.bundles.status()} == {"A": False, "B": True}
    with pytest.raises(MemoryShortError, match="in use are 'B' 60 MB"):
        box.bundles._make_room(third, 71.0, 0.0)
    assert box.bundles.newest.manifest.name == "gasket"


def test_a_bundle_that_changed_on_the_disk_does_not_come_back_unasked(box: Box, tmp_path: Path) -> None:
    product = box.bundles.product("B")
    assert product.slot is not None
    product.slot.close()
    product.slot = None
    small_bundle(tmp_path / "bundles" / "gasket.bundle", name="gasket", version=6)
    loader = ProductLoader(box.bundles, box.alarms)
    loader.start()
    try:
        box.inspect(B)
    finally:
        loader.close()
    assert "is another bundle than the one that was verified" in box.told.alarms["product_failed.B"]
    (b,) = box.inspect(B)
    assert (b.verdict, b.reason_code) == ("UNDECIDED", "unknown_product")
    assert "gasket version 6" in box.operations.reload({"product": "B"})
    assert box.inspect(B)[0].verdict == "OK"


def test_memory_too_small_for_two_is_refused_at_the_start() -> None:
    products = [
        Product(name=name, config=None, mb=mb)  # type: ignore[arg-type]
        for name, mb in (("A", 80.0), ("B", 20.0), ("C", 70.0))
    ]
    require_room_for_two(products, None)
    require_room_for_two(products, 150.0)
    with pytest.raises(ConfigError, match=r"'A' \(80 MB\) and 'C' \(70 MB\) take 150 MB together"):
        require_room_for_two(products, 149.0)


def test_at_the_start_bundles_give_way_as_they_were_verified_and_the_first_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small bundles take nothing that could be bounded, so each counts as 40 MB."""
    monkeypatch.setattr(opening, "measured_load", lambda load: (load(), 40.0))
    write_box(tmp_path, 1)
    bundles_of(tmp_path)
    products = {
        "A": "bundles/one.bundle",
        "B": "bundles/gasket.bundle",
        "C": "bundles/gasket.bundle",
        "D": "bundles/one.bundle",
    }
    box = Box(tmp_path, products, product="C", memory_mb=100)
    try:
        loaded = {p["name"]: p["loaded"] for p in box.bundles.status()}
        assert loaded == {"A": False, "B": False, "C": True, "D": True}
        assert {p["problem"] for p in box.bundles.status()} == {""}
        assert "whose bundle was loaded in" in box.operations.product({"name": "A"})
        loaded = {p["name"]: p["loaded"] for p in box.bundles.status()}
        assert loaded == {"A": True, "B": False, "C": True, "D": False}
    finally:
        box.close()
    with pytest.raises(ConfigError, match="take 80 MB together"):
        Box(tmp_path, products, product="C", memory_mb=79)
