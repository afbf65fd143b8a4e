"""VisA: its tables split the images, its annotations name the kinds of defects."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from edgeflow.contracts.datasets.find_parts import find_parts, look_for_parts
from edgeflow.contracts.datasets.layouts import PartsRequest
from edgeflow.contracts.image_files.mask_sources import read_defect_mask
from edgeflow.errors import DataError
from tests.support.data_sets import draw, draw_mask, marked

HEADER = "object,split,label,image,mask\n"


def normal(number: int, split: str) -> str:
    return f"candle,{split},normal,candle/Data/Images/Normal/{number:04d}.JPG,\n"


def anomaly(number: int, split: str) -> str:
    image, mask = f"Images/Anomaly/{number:03d}.JPG", f"Masks/Anomaly/{number:03d}.png"
    return f"candle,{split},anomaly,candle/Data/{image},candle/Data/{mask}\n"


@pytest.fixture
def visa(tmp_path: Path) -> Path:
    root = tmp_path / "VisA_20220922"
    data = root / "candle" / "Data"
    draw(*(data / "Images" / "Normal" / f"{n:04d}.JPG" for n in range(3)))
    draw(*(data / "Images" / "Anomaly" / f"{n:03d}.JPG" for n in range(2)))
    for number in range(2):
        draw_mask(data / "Masks" / "Anomaly" / f"{number:03d}.png", value=3)  # the kind's number
    (root / "candle" / "image_anno.csv").write_text(
        "image,label,mask\n"
        'candle/Data/Images/Anomaly/000.JPG,"wax, melted",candle/Data/Masks/Anomaly/000.png\n'
        "candle/Data/Images/Normal/0000.JPG,normal,\n"
    )
    tables = root / "split_csv"
    tables.mkdir()
    others = "capsules,train,normal,capsules/Data/Images/Normal/000.JPG,\n"
    (tables / "1cls.csv").write_text(
        "\ufeff" + HEADER + others + normal(0, "train") + normal(1, "train") + normal(2, "test")
        + anomaly(0, "test") + anomaly(1, "test")
    )  # fmt: skip
    (tables / "2cls_fewshot.csv").write_text(
        HEADER + normal(0, "train") + normal(1, "test") + anomaly(0, "train") + anomaly(1, "test")
    )
    return root


def test_the_one_class_table_splits_the_images(visa: Path) -> None:
    parts = {part.part_id: part for part in find_parts(visa)}
    start = "candle/Data/Images/"
    assert {name.removeprefix(start): (part.split, part.label) for name, part in parts.items()} == {
        "Normal/0000": ("train", "OK"),
        "Normal/0001": ("train", "OK"),
        "Normal/0002": ("test", "OK"),
        "Anomaly/000": ("test", "wax, melted"),
        "Anomaly/001": ("test", "anomaly"),
    }
    mask = parts[f"{start}Anomaly/000"].masks["image"]
    assert mask is not None
    assert np.array_equal(read_defect_mask(mask), marked())
    assert {part.class_name for part in parts.values()} == {"candle"}
    assert len(find_parts(visa / "candle")) == 5  # the tables beside the object's own folder


def test_another_table_is_chosen_by_name_and_its_training_anomalies_are_left_out(visa: Path) -> None:
    found = look_for_parts(visa, PartsRequest(split="2cls_fewshot"))
    assert [(part.split, part.label) for part in found.parts] == [
        ("train", "OK"),
        ("test", "OK"),
        ("test", "anomaly"),
    ]
    assert found.notes == ("1 anomalous image(s) that 2cls_fewshot.csv has for training are left out",)
    with pytest.raises(DataError, match="no table '3cls' in split_csv; found: 1cls, 2cls_fewshot"):
        find_parts(visa, split="3cls")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("object,split\ncandle,train\n", r"1cls.csv: expected the columns object, split, label, image, mask"),
        (HEADER + "candle,train,normal,../up.JPG,\n", "line 2: a path that leads out of the data set"),
        (HEADER + "candle,train,normal,/etc/up.JPG,\n", "line 2: a path that leads out of the data set"),
        (HEADER + "nut,train,normal,x.JPG,\n" + normal(0, "dev"), "line 3: split 'dev', label 'normal'"),
        (HEADER + normal(0, "train") + normal(0, "test"), "Normal/0000: is there 2 times"),
        (HEADER + normal(7, "train"), "no such file .*0007.JPG"),
    ],
)
def test_a_table_that_is_broken_is_named(visa: Path, text: str, problem: str) -> None:
    (visa / "split_csv" / "1cls.csv").write_text(text)
    with pytest.raises(DataError) as caught:
        find_parts(visa)
    assert re.search(problem, str(caught.value))


def test_paths_with_backslashes_are_read(visa: Path) -> None:
    table = visa / "split_csv" / "1cls.csv"
    table.write_text(table.read_text("utf-8-sig").replace("candle/Data/Images/", "candle\\Data\\Images\\"))
    assert len(find_parts(visa)) == 5


def test_without_tables_all_normal_images_train(visa: Path) -> None:
    for table in (visa / "split_csv").iterdir():
        table.unlink()
    found = look_for_parts(visa, PartsRequest())
    assert [(part.split, part.label) for part in found.parts] == [("train", "OK")] * 3 + [
        ("test", "anomaly")
    ] * 2
    assert found.problems == ()
    assert found.notes[0].startswith("no split_csv: all normal images are for training")
    with pytest.raises(DataError, match="no table '1cls' in split_csv; found: none"):
        find_parts(visa, split="1cls")


def test_what_its_program_writes_is_read_as_mvtec_ad(tmp_path: Path) -> None:
    root = tmp_path / "VisA_pytorch" / "1cls" / "candle"
    draw(root / "train/good/0000.JPG", root / "test/good/0001.JPG", root / "test/bad/000.JPG")
    draw_mask(root / "ground_truth/bad/000.png")
    found = look_for_parts(root.parent, PartsRequest())
    assert found.layout == "mvtec_ad"
    masks = {part.part_id: part.masks["image"] for part in found.parts}
    assert masks["test/bad/000"] == root / "ground_truth/bad/000.png"


def test_a_table_named_for_another_layout_is_refused(tmp_path: Path) -> None:
    draw(tmp_path / "p1" / "C1.png")
    with pytest.raises(DataError, match=r"data\.split: 1cls names a table of VisA"):
        find_parts(tmp_path, split="1cls")
