"""A graph that does not verify on a box gives way to the next; the box says so, and does not stay dark."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.alarms import Alarms
from edgeflow.bundles.graph_choice import keep_choice
from edgeflow.config.box import BoxConfig, load_config
from edgeflow.contracts.messages import Alarm
from edgeflow.decision.session import Session
from edgeflow.errors import ParityError
from edgeflow.scoring.graph_order import choices_path
from edgeflow.station.active_bundle import LoadedBundle, load_verified, open_for_box, warn_of_graph
from simulators.small_box import write_box
from simulators.small_bundle import small_bundle, two_graphs


class Told:
    """Alarms as they are published."""

    def __init__(self) -> None:
        self.standing: dict[str, Alarm] = {}

    def publish_alarm(self, name: str, alarm: Alarm | None) -> None:
        self.standing.pop(name, None)
        if alarm is not None:
            self.standing[name] = alarm


def box(folder: Path, *, factor: float, precision: str = "auto") -> BoxConfig:
    """A box whose bundle's INT8 graph gives other maps than at export, as by an overflow."""
    config = load_config(write_box(folder, 1, runtime={"precision": precision}))
    target = folder / "bundles" / "one.bundle"
    target.unlink()
    small_bundle(target, version=1, recorded_factor=factor, **two_graphs())
    return config


def loaded(config: BoxConfig) -> LoadedBundle:
    bundle, order = open_for_box(config, config.bundle)
    try:
        return load_verified(config, bundle, order, session=Session(id="s"))
    except BaseException:
        bundle.close()
        raise


def test_graph_that_overflows_here_gives_way_with_an_alarm(tmp_path: Path) -> None:
    told = Told()
    alarms = Alarms("s", told)
    first = loaded(box(tmp_path, factor=1.5))
    assert (first.graph.id, first.chosen_by) == ("onnxruntime-fp32", "fallback")
    assert first.make.bundle.graph_chosen_by == "fallback"
    assert first.make.bundle.precision == "fp32"
    warn_of_graph(first, alarms)
    alarm = told.standing["graph_refused"]
    assert alarm.text.startswith("onnxruntime-fp32 runs: ")
    assert "onnxruntime-int8 on CPU does not compute what the trained model computes" in alarm.text
    first.close()
    good = tmp_path / "good"
    good.mkdir()
    second = loaded(box(good, factor=1.0))
    assert (second.graph.id, second.chosen_by) == ("onnxruntime-int8", "order")
    warn_of_graph(second, alarms)
    assert told.standing == {}
    second.close()


def test_precision_that_the_box_file_names_is_never_replaced(tmp_path: Path) -> None:
    with pytest.raises(ParityError, match="onnxruntime-int8"):
        loaded(box(tmp_path, factor=1.5, precision="int8"))


def test_chosen_graph_runs_and_every_result_says_so(tmp_path: Path) -> None:
    config = box(tmp_path, factor=1.0)
    bundle, _ = open_for_box(config, config.bundle)
    keep_choice(choices_path(config), bundle.sha256, "onnxruntime-fp32")
    bundle.close()
    found = loaded(config)
    assert (found.graph.id, found.chosen_by, found.notes) == ("onnxruntime-fp32", "bench", ())
    assert found.make.bundle.graph_chosen_by == "bench"
    found.close()
