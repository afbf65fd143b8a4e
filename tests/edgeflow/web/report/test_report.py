"""Shift report of a box that does not run: figures, words, pictures, bad parts' names, clocks, exit codes."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result
from PIL import Image

from edgeflow.alarms import Alarms
from edgeflow.cli.main import cli
from edgeflow.config.box import BoxConfig, load_config
from edgeflow.contracts.datasets.part_label import PartLabel
from edgeflow.contracts.messages import Alarm
from edgeflow.errors import UsageError
from edgeflow.history.database.store import HistoryStore
from edgeflow.history.labels import add_label
from edgeflow.history.records import Gap, HistoryEntry
from edgeflow.monitoring.drift.accepted_part import AcceptedPart
from edgeflow.monitoring.drift.monitor import DriftMonitor
from edgeflow.monitoring.drift.view import ViewScore
from edgeflow.run_time import read_boot
from simulators.results import SHA256, simulated_result
from simulators.small_box import write_box

# The clocks go back within this night shift: it has nine hours.
NIGHT = datetime(2026, 10, 24, 20, tzinfo=UTC)
EVENING = NIGHT - timedelta(hours=4)
NASTY = "<script>alert(1)</script>"


def entry(number: int, at: datetime, score: float, **changes: Any) -> HistoryEntry:
    raw = {"C1": score, "C2": score / 2} if score else {}
    result = simulated_result(number, at, raw)
    if score > 1:
        changes |= {"verdict": "NG", "reason_code": "defect"}
    return HistoryEntry(
        result=result.model_copy(update=changes), bundle_version=1, has_foreground=False, kept="verdict"
    )


@pytest.fixture
def config(tmp_path: Path) -> BoxConfig:
    """A box with a shift of 20 parts, and before it one of 10."""
    path = write_box(
        tmp_path,
        1,
        shifts={"time_zone": "Europe/Berlin", "starts": {"day": "06:00", "late": "14:00", "night": "22:00"}},
    )
    config = load_config(path)
    assert config.evidence is not None
    config.history_path.parent.mkdir(parents=True, exist_ok=True)
    folder = config.evidence.dir / "day" / "one"
    folder.mkdir(parents=True)
    noise = np.random.default_rng(1).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    for name in ("C1.png", "C1_heat.png"):
        Image.fromarray(noise).save(folder / name)
    entries = [entry(n, EVENING + timedelta(minutes=10 * n), 0.4 if n else 1.5) for n in range(10)]
    for n in range(20):
        score = {3: 1.6, 7: 2.5, 9: 0.0}.get(n, 0.3)
        changes: dict[str, Any] = {"part_id": NASTY, "evidence": str(folder)} if n == 3 else {}
        entries.append(entry(100 + n, NIGHT + timedelta(minutes=20 * n), score, **changes))
    entries.append(entry(200, NIGHT + timedelta(minutes=5), 0.3))  # the clock was set back by hours
    boot = read_boot()
    store = HistoryStore(config.history_path, boot)
    store.write(entries, [], boot)
    gap = Gap(first="a", last="b", count=7, why="the disk was too slow", at=NIGHT + timedelta(hours=1))
    store.write([], [gap], boot)
    raised = NIGHT - timedelta(minutes=30)
    stale = Alarm(
        session="s", code="camera_stale", subject="C1", severity="error", text="camera 'C1' is offline",
        since=raised.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
    )  # fmt: skip
    store.note_alarms([stale], raised)
    store.note_alarms([], NIGHT + timedelta(minutes=15))
    store.close()
    add_label(
        config.history_path,
        PartLabel(
            result_id="session-000103", part_id="", label="OK", by="anna", source="cli",
            at="2026-10-25T08:00:00.0Z",
        ),
    )  # fmt: skip
    return config


def report(config: BoxConfig, *options: str) -> Result:
    box = config.bundle.parent.parent / "box.yaml"
    return CliRunner().invoke(cli, ["report", str(box), *options], env={"COLUMNS": "80"})


def data(config: BoxConfig, *options: str) -> dict[str, Any]:
    done = report(config, "--json", *options)
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_figures_are_those_of_the_shift_and_the_one_before(config: BoxConfig) -> None:
    found = data(config)
    assert (found["shift"], found["day"], found["over"]) == ("night", "2026-10-24", True)
    assert found["results"]["verdicts"] == {"OK": 18, "NG": 2, "UNDECIDED": 1}
    assert found["results_before"]["verdicts"] == {"OK": 9, "NG": 1, "UNDECIDED": 0}
    assert [line["name"] for line in found["results"]["reasons"]] == ["defect", "missing_views"]
    assert found["results"]["labels"] == [{"verdict": "NG", "label": "OK", "parts": 1}]
    assert found["times_ms"]["score"]["p50"] == 25.0
    assert found["bundles"] == [
        {"name": "bracket", "version": 1, "sha256": SHA256, "graph": "openvino-fp32", "parts": 21}
    ]
    assert [gap["count"] for gap in found["gaps"]] == [7]
    assert [part["result_id"] for part in found["ng"]] == ["session-000107", "session-000103"]


def test_clocks_that_change_and_steps_of_the_clock_are_said(config: BoxConfig) -> None:
    found = data(config)
    assert found["start"] == "2026-10-24T22:00:00.000+02:00"
    assert found["end"] == "2026-10-25T06:00:00.000+01:00"
    assert found["clock_change_s"] == -3600
    (step,) = found["clock_steps"]
    assert step["back_s"] == 375 * 60
    assert data(config, "--shift", "late")["clock_steps"] == []


def test_alarms_count_the_time_within_the_shift(config: BoxConfig) -> None:
    (night,) = data(config)["alarms"]
    (late,) = data(config, "--shift", "late", "--day", "2026-10-24")["alarms"]
    assert (night["code"], night["subject"], night["stood_s"]) == ("camera_stale", "C1", 900)
    assert late["stood_s"] == 1800


class Addresses(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.named: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.named += [value or "" for name, value in attrs if name in ("src", "href", "data", "action")]


@pytest.mark.parametrize(("language", "word"), [("en", "Shift report"), ("de", "Schichtbericht")])
def test_the_page_needs_nothing_else_and_runs_nothing(
    config: BoxConfig, tmp_path: Path, language: str, word: str
) -> None:
    page = tmp_path / "report.html"
    done = report(config, "-o", str(page), "--language", language)
    assert done.exit_code == 0, done.output
    assert "2026-10-24 night, 21 results" in done.output
    text = page.read_text()
    found = Addresses()
    found.feed(text)
    assert word in text
    assert len(found.named) == 2  # the pictures of one part
    assert all(address.startswith("data:image/jpeg;base64,") for address in found.named)
    assert not found.tags & {"script", "link", "iframe", "object", "form"}
    assert not re.search(r"url\(|@import|https?:", text)
    assert NASTY not in text
    assert "&lt;script&gt;alert(1)" in text
    assert len(text) < 200_000
    assert text.count("<svg") == 2


def test_the_language_of_the_box_file_is_followed(config: BoxConfig, tmp_path: Path) -> None:
    box = config.bundle.parent.parent / "box.yaml"
    box.write_text(yaml.safe_dump({**yaml.safe_load(box.read_text()), "web": {"language": "de"}}))
    assert report(config, "-o", str(tmp_path / "r.html")).exit_code == 0
    assert '<html lang="de">' in (tmp_path / "r.html").read_text()


class Silent:
    def publish_alarm(self, name: str, alarm: Alarm | None) -> None:
        """Nobody listens."""


def test_drift_bounds_are_drawn_of_views_that_the_watch_knows(config: BoxConfig, tmp_path: Path) -> None:
    watch = DriftMonitor(config.drift_path, Alarms("s", Silent()), bound=0.3, parts=200)
    loaded = object()
    for score in np.random.default_rng(2).normal(0.3, 0.05, 210).tolist():
        watch.take(
            AcceptedPart(
                loaded=loaded, bundle=SHA256, graph="openvino-fp32", calibration=1,
                views={"C1": ViewScore(score, True, score)}, at="2026-10-24T10:00:00.000Z",
            )
        )  # fmt: skip
    watch.keep()
    views = {view["view"]: view for view in data(config, "-o", str(tmp_path / "r.html"))["views"]}
    assert 0.27 < views["C1"]["drift_low"] < 0.3 < views["C1"]["drift_high"] < 0.33
    assert 0.28 < views["C1"]["level"] < 0.32
    assert views["C2"]["drift_low"] is None
    assert (tmp_path / "r.html").read_text().count('class="bounds"') == 1


def test_on_a_box_with_products_every_product_has_trends_and_drift_of_its_own(
    config: BoxConfig, tmp_path: Path
) -> None:
    """The parts of B have another level, and its bundle bears the name of the other product."""
    store = HistoryStore(config.history_path, read_boot())
    store.write(
        [entry(300 + n, NIGHT + timedelta(hours=8, minutes=n), 0.3, product="A") for n in range(9)],
        [],
        read_boot(),
    )
    store.write(
        [entry(400 + n, NIGHT + timedelta(hours=8, minutes=n), 0.8, product="B") for n in range(7)],
        [],
        read_boot(),
    )
    store.close()
    watch = DriftMonitor(config.drift_path, Alarms("s", Silent()), bound=0.3, parts=200)
    for product, level in (("A", 0.3), ("B", 0.8)):
        loaded = object()
        for score in np.random.default_rng(2).normal(level, 0.05, 210).tolist():
            watch.take(
                AcceptedPart(
                    loaded=loaded, bundle=SHA256, graph="openvino-fp32", calibration=1, product=product,
                    views={"C1": ViewScore(score, True, score)}, at="2026-10-24T10:00:00.000Z",
                )
            )  # fmt: skip
    watch.keep()
    page = tmp_path / "r.html"
    views = data(config, "-o", str(page))["views"]
    views = {(view["product"], view["view"]): view for view in views}
    assert {key: view["scores"] for key, view in views.items() if key[1] == "C1"} == {
        ("A", "C1"): 9,
        ("B", "C1"): 7,
    }
    assert 0.27 < views["A", "C1"]["drift_low"] < 0.3 < views["A", "C1"]["drift_high"] < 0.33
    assert 0.77 < views["B", "C1"]["drift_low"] < 0.8 < views["B", "C1"]["drift_high"] < 0.83
    assert page.read_text().count('class="bounds"') == 2
    assert "<h3>B · C1</h3>" in page.read_text()


def test_a_shift_without_results_is_a_report_too(config: BoxConfig, tmp_path: Path) -> None:
    found = data(config, "--shift", "now", "-o", str(tmp_path / "r.html"))
    assert found["results"]["parts"] == 0
    assert not found["over"]
    assert data(config, "--shift", "last")["over"]
    assert "<svg" not in (tmp_path / "r.html").read_text()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--shift", "noon"], "no shift 'noon'"),
        (["--shift", "night", "--day", "yesterday"], "write a date"),
        (["--day", "2026-10-24"], "no shift 'latest'"),
    ],
)
def test_wrong_options_are_told(config: BoxConfig, options: list[str], words: str) -> None:
    error = report(config, *options).exception
    assert isinstance(error, UsageError)
    assert words in str(error)


def test_without_a_history_or_a_place_to_write_it_says_what_to_do(config: BoxConfig, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = report(config, "-o", str(tmp_path / "file" / "r.html"))
    assert "cannot be written" in str(done.exception)
    config.history_path.unlink()
    assert "there is none yet" in str(report(config).exception)
