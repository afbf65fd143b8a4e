"""Labels go into the history and beside the images; an export keeps them, and no unlabelled reject."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeflow.contracts.datasets.evidence_folders import require_good_evidence, require_no_overruled
from edgeflow.contracts.datasets.find_parts import find_parts
from edgeflow.contracts.datasets.part_label import read_label
from edgeflow.contracts.datasets.population import read_population
from edgeflow.contracts.messages import to_json
from edgeflow.errors import DataError, UsageError
from edgeflow.history.database.store import HistoryStore
from edgeflow.history.labelled_export import export_labelled
from edgeflow.history.labelling import label_by_command, label_part
from edgeflow.history.reader import HistoryReader
from edgeflow.history.records import HistoryEntry
from edgeflow.run_time import read_boot
from simulators.results import simulated_result

AT = datetime(2026, 11, 28, 12, tzinfo=UTC)
DAY = "2026-11-28"
REGION = {"view": "C1", "x": 1, "y": 2, "width": 3, "height": 4}


def keep(root: Path, number: int, raw: float | None, *, why: str | None) -> HistoryEntry:
    """A result, and its evidence where it is kept."""
    result = simulated_result(number, AT, {} if raw is None else {"C1": raw, "C2": raw})
    folder = root / "evidence" / DAY / result.result_id
    if why is not None:
        result = result.model_copy(update={"evidence": str(folder)})
        folder.mkdir(parents=True)
        (folder / "result.json").write_bytes(to_json(result))
        rng = np.random.default_rng(number)
        for name in ("C1", "C2", "C1_heat"):
            Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(folder / f"{name}.png")
    entry = HistoryEntry(result=result, bundle_version=1, has_foreground=False)
    return replace(entry, kept=why)  # type: ignore[arg-type]


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Parts 0 to 5: OK, OK kept as a sample, three NG, UNDECIDED; all but the first with images."""
    scores = [
        (0.5, None),
        (0.6, "sample"),
        (1.2, "verdict"),
        (1.3, "verdict"),
        (1.4, "verdict"),
        (None, "verdict"),
    ]
    boot = read_boot()
    path = tmp_path / "history.db"
    store = HistoryStore(path, boot)
    store.write([keep(tmp_path, n, raw, why=why) for n, (raw, why) in enumerate(scores)], [], boot)
    store.close()
    return path


def export(history: Path, output: Path) -> Path:
    with HistoryReader(history) as reader:
        export_labelled(reader, output)
    return output


def test_a_label_lies_in_the_history_and_beside_the_images(history: Path) -> None:
    given = label_part(history, "P-3", "ng", kind="Kratzer tief", by="Ann", source="cli")
    assert given.beside is not None
    assert read_label(given.beside.parent) == given.label
    assert given.sentence == "P-3 (session-000003) is labelled NG (Kratzer tief) by Ann"
    assert "its images are not kept" in label_part(history, "P-0", "OK", by="Ann", source="page").sentence


@pytest.mark.parametrize(
    ("part", "settings", "words"),
    [
        ("P-9", {"name": "OK"}, "knows no such part"),
        ("../../etc/passwd", {"name": "OK"}, "knows no such part"),
        ("P-3", {"name": "GOOD"}, "label"),
        ("P-3", {"name": "OK", "kind": "scratch"}, "a part labelled OK has none"),
        ("P-3", {"name": "NG", "kind": "../up"}, "expected a kind"),
        ("P-3", {"name": "NG", "kind": "good"}, "is no kind of defect"),
        ("P-3", {"name": "NG", "by": "a\nb"}, "control characters"),
        ("P-3", {"name": "NG", "regions": [REGION | {"view": "C9"}]}, "no such view (its views: C1, C2)"),
        ("P-3", {"name": "NG", "regions": [REGION | {"width": 0}]}, "width"),
        ("P-3", {"name": "OK", "regions": [REGION]}, "a part labelled OK has none"),
    ],
)
def test_what_is_no_label_is_refused_in_words(
    history: Path, part: str, settings: dict[str, str], words: str
) -> None:
    with pytest.raises(DataError) as caught:
        label_part(history, part, source="cli", **{"by": "ann", **settings})  # type: ignore[arg-type]
    assert words in str(caught.value)


def test_regions_are_kept_with_who_drew_them_and_exported(history: Path, tmp_path: Path) -> None:
    """They lie in the label beside the images; as rectangles they are no masks of defects."""
    given = label_part(history, "P-3", "NG", kind="dent", regions=[REGION], by="Ann", source="cli")
    assert [region.model_dump() for region in given.label.regions] == [REGION]
    found = read_label(export(history, tmp_path / "out") / "dent" / "session-000003")
    assert found == given.label
    (part,) = [part for part in find_parts(tmp_path / "out") if part.defective]
    assert part.masks == {}


def test_a_command_names_its_issuer_beside_the_person_it_speaks_for(history: Path) -> None:
    arguments = {"part": "P-3", "label": "ng", "kind": "dent", "by": "Ann"}
    assert "by Ann (through mes)" in label_by_command(history, arguments, who="mes", source="mqtt")
    for wrong in ({"part": "P-3"}, {**arguments, "colour": "red"}):
        with pytest.raises(UsageError, match="label takes part=ID"):
            label_by_command(history, wrong, who="mes", source="mqtt")


def test_an_export_keeps_labels_and_leaves_out_rejects_that_nobody_judged(
    history: Path, tmp_path: Path
) -> None:
    label_part(history, "P-2", "OK", by="ann", source="cli")
    label_part(history, "P-3", "NG", kind="scratch", by="ann", source="cli")
    root = export(history, tmp_path / "out")
    found = {part.part_id: (part.label, part.split, part.verdict) for part in find_parts(root)}
    assert found == {
        "good/session-000002": ("OK", None, None),
        "scratch/session-000003": ("scratch", "test", None),
        "unlabelled/session-000001": (None, None, "OK"),
    }
    require_good_evidence(find_parts(root))
    population = read_population(root)
    assert population is not None
    assert [part.part_id for part in population.parts if part.is_normal] == ["P-2", "P-1", "P-0"]
    assert {part.part_id: part.data_set for part in population.parts if part.data_set} == {
        "P-1": "unlabelled/session-000001",
        "P-2": "good/session-000002",
        "P-3": "scratch/session-000003",
    }
    with pytest.raises(UsageError):
        export(history, tmp_path / "out")


def test_an_export_of_defects_alone_is_read_too(history: Path, tmp_path: Path) -> None:
    label_part(history, "P-3", "NG", kind="scratch", by="ann", source="cli")
    label_part(history, "P-4", "NG", by="ann", source="cli")
    labels = {part.label for part in find_parts(export(history, tmp_path / "out"))}
    assert labels == {"scratch", "defect", None}


def test_a_part_labelled_ng_never_counts_as_normal_wherever_it_lies(history: Path, tmp_path: Path) -> None:
    """The box judged part 1 OK; somebody found it defective afterwards."""
    label_part(history, "P-1", "NG", kind="crack", by="ann", source="cli")
    for root in (tmp_path / "evidence", tmp_path / "evidence" / DAY):
        (part,) = [part for part in find_parts(root) if part.part_id.endswith("session-000001")]
        assert (part.label, part.defective, part.split) == ("crack", True, "test")
    sorted_by_hand = tmp_path / "sorted" / "good"
    sorted_by_hand.mkdir(parents=True)
    (tmp_path / "evidence" / DAY / "session-000001").rename(sorted_by_hand / "session-000001")
    with pytest.raises(DataError) as caught:
        find_parts(tmp_path / "sorted")
    assert "ann labelled it NG, and it lies in good/" in caught.value.problems[0]


def test_unlabelled_rejects_never_count_as_normal_wherever_they_lie(history: Path, tmp_path: Path) -> None:
    label_part(history, "P-2", "OK", by="ann", source="cli")
    parts = find_parts(tmp_path / "evidence")
    with pytest.raises(DataError) as caught:
        require_good_evidence(parts)
    wrong = {problem.split(":")[0].rpartition("/")[2] for problem in caught.value.problems}
    assert wrong == {"session-000003", "session-000004", "session-000005"}, "not those judged or labelled OK"
    damaged = tmp_path / "evidence" / DAY / "session-000001" / "result.json"
    damaged.write_bytes(b"{")
    with pytest.raises(DataError) as caught:
        require_good_evidence(find_parts(tmp_path / "evidence"))
    assert any("session-000001" in problem for problem in caught.value.problems)


def test_parts_that_people_found_good_against_the_box_are_known_and_set_no_threshold(
    history: Path, tmp_path: Path
) -> None:
    """The box keeps every reject and few good parts: thresholds from such parts would let defects pass."""
    label_part(history, "P-1", "OK", by="ann", source="cli")
    label_part(history, "P-2", "OK", by="ann", source="cli")
    for root in (tmp_path / "evidence", tmp_path / "evidence" / DAY, export(history, tmp_path / "out")):
        parts = {part.part_id.rpartition("/")[2]: part.overruled for part in find_parts(root)}
        assert (parts["session-000001"], parts["session-000002"]) == (False, True)
        with pytest.raises(DataError, match="thresholds from them would lie too high") as caught:
            require_no_overruled(find_parts(root))
        assert [problem.rpartition("/")[2].rpartition(" ")[2] for problem in caught.value.problems] == [
            "session-000002"
        ]


def test_a_label_that_cannot_be_read_is_no_missing_label(history: Path, tmp_path: Path) -> None:
    (tmp_path / "evidence" / DAY / "session-000001" / "label.json").write_text("{")
    with pytest.raises(DataError, match="label the part again"):
        find_parts(tmp_path / "evidence")
