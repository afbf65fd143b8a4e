"""Real-IAD's JSON descriptions: which file holds a class, and its entries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, ValidationError, model_validator
from pydantic_core import PydanticCustomError, from_json

from edgeflow.contracts.documents.document import Document
from edgeflow.contracts.documents.file_names import as_text, is_foreign, spelt_as
from edgeflow.contracts.documents.problems import EXPECTED_TEXT, problems_of
from edgeflow.errors import DataError

__all__ = ["Description", "Entry", "Split", "choose_description"]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Split = Literal["train", "test"]


def _below(text: str) -> str:
    for path in (PurePosixPath(text), PureWindowsPath(text)):
        if path.anchor or ".." in path.parts or "\0" in text:
            raise PydanticCustomError(
                EXPECTED_TEXT, "expected a relative path below the data set's folder, without '..'"
            )
    return text.replace("\\", "/")  # as a program on Windows writes it


RelativePath = Annotated[str, AfterValidator(_below)]


class _Published(Document):
    """A part of a published file: fields that mean nothing here are left alone."""

    model_config = ConfigDict(extra="ignore")


class Entry(_Published):
    """One image of one part."""

    category: str | None = None
    anomaly_class: str
    image_path: RelativePath
    mask_path: RelativePath | None = None


class _Meta(_Published):
    normal_class: str
    prefix: RelativePath | dict[str, RelativePath]


class Description(_Published):
    """A whole file."""

    meta: _Meta
    train: list[Entry]
    test: list[Entry]

    @model_validator(mode="after")
    def _every_entry_has_a_class(self) -> Description:
        bare = sum(1 for entry in (*self.train, *self.test) if entry.category is None)
        if bare and len(self.categories) > 1:
            raise ValueError(f"{bare} entries have no category, though there are several classes")
        return self

    @property
    def categories(self) -> tuple[str, ...]:
        """The classes in it, sorted."""
        found = {entry.category for entry in (*self.train, *self.test)}
        return tuple(sorted(category for category in found if category is not None))

    def of(self, category: str | None) -> Iterator[tuple[Split, Entry]]:
        """The entries of one class, or all."""
        splits: tuple[tuple[Split, list[Entry]], ...] = (("train", self.train), ("test", self.test))
        for split, entries in splits:
            yield from ((split, entry) for entry in entries if category in {None, entry.category})


def choose_description(folder: Path, class_name: str | None) -> tuple[Path, Description, str | None]:
    """The description that holds a class, and the category to take from it; None for all.

    A class has a file of its name, or is one of several categories in a file of any name.

    Raises:
        DataError: no such class, several to choose from, or a malformed description.
    """
    found = {as_text(path.stem): path for path in sorted(folder.glob("*.json")) if not is_foreign(path)}
    if not found:
        raise DataError(f"{folder}: no <class>.json in it; put the data set's descriptions there")
    if class_name is None:
        names = _class_names(found.values())
        if len(names) != 1:
            raise DataError(f"{folder}: {len(names)} classes, choose one by name; found: {', '.join(names)}")
        path = next(iter(found.values()))
        return path, _read(path), None
    if class_name not in found:
        class_name = spelt_as(class_name, _class_names(found.values()))
    if class_name in found:
        path = found[class_name]
        document = _read(path)
        if len(document.categories) < 2 or class_name in document.categories:
            return path, document, class_name if class_name in document.categories else None
    holders = [path for path in found.values() if class_name in _categories(path)]
    if len(holders) == 1:
        return holders[0], _read(holders[0]), class_name
    if holders:
        files = ", ".join(path.name for path in holders)
        raise DataError(f"{folder}: class '{class_name}' is in several files: {files}; keep one of them")
    names = _class_names(found.values())
    raise DataError(f"{folder}: no class '{class_name}'; found: {', '.join(names)}")


def _class_names(paths: Iterable[Path]) -> list[str]:
    """Names by which classes can be chosen: a file's, or those inside where it holds several."""
    names: set[str] = set()
    for path in paths:
        inside = _categories(path)
        names |= inside if len(inside) > 1 else {as_text(path.stem)}
    return sorted(names)


def _categories(path: Path) -> set[str]:
    """The classes in a file; none where it is malformed, which whoever reads it whole will say."""
    try:
        data = _json(path)
        entries = [*data["train"], *data["test"]]
        return {entry["category"] for entry in entries if isinstance(entry.get("category"), str)}
    except (DataError, LookupError, TypeError, AttributeError):
        return set()


def _read(path: Path) -> Description:
    data = _json(path)
    try:
        return Description.model_validate(data)
    except ValidationError as cause:
        problems = problems_of(cause, Description, {})
        raise DataError(
            f"{path}: not a Real-IAD description: {len(problems)} problem(s); put the published file there, "
            "or repair these entries",
            problems=problems,
        ) from cause


def _json(path: Path) -> Any:
    try:
        return from_json(path.read_bytes().removeprefix(_BYTE_ORDER_MARK))
    except ValueError as cause:
        raise DataError(
            f"{path}: not a Real-IAD description: {cause}; the file is damaged or no JSON, get it again"
        ) from cause
