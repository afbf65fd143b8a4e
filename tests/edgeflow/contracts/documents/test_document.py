"""Strict documents: one report of everything that is wrong, in words that say what to write instead."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, StringConstraints, ValidationError, model_validator

from edgeflow.contracts.documents.document import Document, Text, parse_document
from edgeflow.contracts.documents.problems import KeyPath
from edgeflow.errors import ConfigError, IntegrityError


class Circle(Document):
    kind: Literal["circle"]
    radius: float = Field(gt=0)


class Square(Document):
    kind: Literal["square"]
    side_px: int = Field(default=1, ge=1, le=100)


class Drawing(Document):
    name: Annotated[str, Text(pattern="^[a-z]+$", words="small letters only")] = "a"
    port: int = 1
    scale: float = 1.0
    open: bool = False
    file: Path = Path("x")
    colour: Literal["red", "green", "5"] = "red"
    corners: tuple[int, int, int] = (1, 2, 3)
    tags: tuple[str, ...] = Field(default=(), max_length=2)
    title: str = Field(default="t", min_length=1)
    options: dict[str, str | int | bool] = Field(default_factory=dict)
    shapes: dict[
        Annotated[str, Text(pattern="^[a-z]+$", words="small letters only")],
        Annotated[Circle | Square, Field(discriminator="kind")],
    ] = Field(default_factory=dict, min_length=1)
    main: Annotated[Circle | Square, Field(discriminator="kind")] | None = None


def problems(**data: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_document(Drawing, data, what="drawing.yaml", error=ConfigError)
    assert caught.value.message.startswith("drawing.yaml: ")
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("port", "8883", "port: expected a whole number, got '8883' (text); remove the quotes"),
        ("port", "010", "port: expected a whole number, got '010' (text)"),
        ("port", 1.5, "port: expected a whole number, got 1.5 (a number)"),
        ("port", True, "port: expected a whole number, got true"),
        ("port", None, "port: expected a whole number, got nothing"),
        ("port", [1], "port: expected a whole number, got a list"),
        ("scale", "big", "scale: expected a number, got 'big' (text)"),
        ("open", "no", "open: expected true or false, got 'no' (text)"),
        ("open", 1, "open: expected true or false, got 1 (a number)"),
        ("open", 0, "open: expected true or false, got 0 (a number)"),
        ("title", 5, "title: expected text, got 5 (a number); put it in quotes"),
        ("title", "", "title: must not be empty"),
        ("file", {}, "file: expected text, got a section"),
        ("name", "A1", "name: expected small letters only, got 'A1' (text)"),
        ("name", 3, "name: expected small letters only, got 3 (a number); put it in quotes"),
        ("colour", "blue", "colour: unknown value 'blue'; allowed: red, green, 5"),
        ("colour", "Grene", "colour: unknown value 'Grene'; did you mean 'green'?; allowed: red, green, 5"),
        ("colour", 5, "colour: expected '5' as text, got 5 (a number); put it in quotes"),
        ("corners", [1, 2], "corners.2: an entry is missing"),
        ("corners", [1, 2, 3, 4], "corners: needs at most 3 entries, has 4"),
        ("corners", [1, 2, "x"], "corners.2: expected a whole number, got 'x' (text)"),
        ("tags", "red", "tags: expected a list, got 'red' (text); write [red]"),
        ("tags", ["a", "b", "c"], "tags: needs at most 2 entries, has 3"),
        ("options", {"a": []}, "options.a: expected text, a whole number or true or false, got a list"),
        ("shapes", {}, "shapes: needs at least 1 entry, has 0"),
        ("shapes", ["a"], "shapes: expected a section of keys, got a list"),
        ("shapes", {"a": "round"}, "shapes.a: expected a section of keys, got 'round' (text)"),
        ("shapes", {"a": {"kind": "cicle"}},
         "shapes.a.kind: unknown value 'cicle'; did you mean 'circle'?; allowed: circle, square"),
        ("shapes", {"a": {"kind": 3}}, "shapes.a.kind: unknown value 3; allowed: circle, square"),
        ("shapes", {"a": {"radius": 1}}, "shapes.a.kind: required key is missing; allowed: circle, square"),
        ("shapes", {"a": {"knid": "circle"}},
         "shapes.a.kind: required key is missing; did you misspell it as 'knid'?; allowed: circle, square"),
        ("shapes", {"a": {"kind": "circle", "radius": 0}}, "shapes.a.radius: must be greater than 0, got 0"),
        ("shapes", {"a": {"kind": "square", "side_px": 999}},
         "shapes.a.side_px: must be at most 100, got 999"),
        ("shapes", {"A 1": {"kind": "square"}}, "shapes.A 1: expected small letters only, got 'A 1' (text)"),
        ("main", {"kind": "circle"}, "main.radius: required key is missing"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_in_plain_words(key: str, value: object, sentence: str) -> None:
    shapes: dict[str, object] = {} if key == "shapes" else {"shapes": {"a": {"kind": "square"}}}
    assert problems(**shapes, **{key: value}) == [sentence]


@pytest.mark.parametrize("name", ["circle", "square", "kind", "radius"])
def test_a_name_that_is_also_a_kind_or_a_key_keeps_its_place_in_the_path(name: str) -> None:
    found = problems(shapes={name: {"kind": "circle", "radius": 1, "raduis": 2}})
    assert found == [f"shapes.{name}.raduis: unknown key; did you mean 'radius'?; allowed: kind, radius"]


def test_a_misspelt_key_names_the_nearest_and_all_allowed_ones() -> None:
    (found,) = problems(shapes={"a": {"kind": "square", "SidePx": 3}})
    assert found == "shapes.a.SidePx: unknown key; did you mean 'side_px'?; allowed: kind, side_px"
    (found,) = problems(shapes={"a": {"kind": "square"}}, zzz=1)
    assert found.startswith("zzz: unknown key; allowed: colour, corners, file, ")


def test_all_problems_are_in_one_report_with_their_lines() -> None:
    data = {"port": "x", "shapes": {"a": {"kind": "circle", "radius": -1}}, "colour": "blue"}
    lines: dict[KeyPath, int] = {("port",): 3, ("shapes", "a"): 7, ("colour",): 0}
    with pytest.raises(ConfigError) as caught:
        parse_document(Drawing, data, what="drawing.yaml", error=ConfigError, lines=lines)
    assert caught.value.message == "drawing.yaml: 3 problems"
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "port (line 3)",
        "colour (--set)",
        "shapes.a.radius (line 7)",
    ]


def test_a_value_is_shown_shortened_on_one_line_and_without_credentials() -> None:
    (found,) = problems(shapes={"a": {"kind": "square"}}, port="rtsp://user:p@ss@10.0.0.9/\n" + "x" * 200)
    assert "pass" not in found.replace("expected", "")
    assert "p@ss" not in found
    assert "rtsp://…@10.0.0.9/" in found
    assert len(found.splitlines()) == 1
    assert len(found) < 140


def test_what_is_no_section_at_all_is_refused() -> None:
    for data in (None, "text", [1], 3):
        with pytest.raises(ConfigError, match=r"expected a section of keys, got"):
            parse_document(Drawing, data, what="drawing.yaml", error=ConfigError)


def test_numbers_that_json_does_not_have_are_refused_with_their_path() -> None:
    assert problems(scale=float("nan"), corners=[float("inf")]) == [
        "scale: must be a finite number, got nan",
        "corners.0: must be a finite number, got inf",
    ]


def test_what_is_not_plain_data_is_refused() -> None:
    assert "not plain data" in problems(scale={1, 2})[0]
    assert "not plain data" in problems(title="\ud800")[0]


def test_a_rule_over_several_keys_is_told_as_written() -> None:
    class Pair(Document):
        low: int
        high: int

        @model_validator(mode="after")
        def _in_order(self) -> Pair:
            if self.low > self.high:
                raise ValueError("low is over high")
            return self

    class Outer(Document):
        pair: Pair

    with pytest.raises(IntegrityError) as caught:
        parse_document(Outer, {"pair": {"low": 2, "high": 1}}, what="x", error=IntegrityError)
    assert caught.value.problems == ("pair: low is over high",)
    with pytest.raises(IntegrityError) as caught:
        parse_document(Pair, {"low": 2, "high": 1}, what="x", error=IntegrityError)
    assert str(caught.value) == "x: 1 problem\n  - low is over high"


def test_lists_become_tuples_and_text_becomes_paths() -> None:
    data = {"corners": [4, 5, 6], "file": "a/b", "scale": 2, "shapes": {"a": {"kind": "circle", "radius": 2}}}
    drawing = parse_document(Drawing, data, what="drawing.yaml", error=ConfigError)
    assert drawing.corners == (4, 5, 6)
    assert drawing.file == Path("a/b")
    assert drawing.scale == 2.0
    assert drawing.shapes["a"] == Circle(kind="circle", radius=2.0)


def test_documents_cannot_be_changed() -> None:
    circle = Circle(kind="circle", radius=1.0)
    with pytest.raises(ValidationError):
        circle.radius = 2.0  # type: ignore[misc]


def test_no_error_shows_a_regular_expression() -> None:
    class Named(Document):
        name: Annotated[str, StringConstraints(pattern=r"^[a-z]+$")]

    with pytest.raises(ConfigError) as caught:
        parse_document(Named, {"name": "A 1"}, what="x", error=ConfigError)
    assert caught.value.problems == ("name: is not of the form that belongs here, got 'A 1' (text)",)
