"""The section ``data`` of a recipe for a folder that was inspected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from edgeflow.contracts.datasets.recorded_part import RecordedPart

__all__ = ["DataBlock", "data_block"]


@dataclass(frozen=True, kw_only=True)
class DataBlock:
    """Keys of the section in order, and remarks on single keys."""

    keys: Mapping[str, object]
    remarks: Mapping[str, str]

    def as_yaml(self) -> str:
        """The section as it stands in a recipe."""
        lines = ["data:"]
        for key, value in self.keys.items():
            text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6)
            plain = text.removesuffix("...\n").strip()  # YAML ends a bare value so
            remark = self.remarks.get(key)
            lines.append(f"  {key}: {plain}" + (f"  # {remark}" if remark else ""))
        return "\n".join(lines) + "\n"


def data_block(
    root: Path,
    parts: Sequence[RecordedPart],
    *,
    class_name: str | None,
    views: tuple[str, ...] | None,
    layout: str | None,
    split: str | None,
    unannotated: int,
) -> DataBlock:
    """The section for parts as they were found.

    Args:
        class_name: as it was chosen; None where there was nothing to choose.
        layout: where it has to be named.
        unannotated: number of parts that nobody has annotated.
    """
    names = views or tuple(dict.fromkeys(view for part in parts for view in part.images))
    keys: dict[str, object] = {"root": str(root.resolve())}
    remarks: dict[str, str] = {}
    if class_name is not None:
        keys["class_name"] = parts[0].class_name or class_name
    if layout is not None:
        keys["layout"] = layout
    if split is not None:
        keys["split"] = split
    if len(names) > 1 or views is not None:
        keys["views"] = list(names)
        remarks["views"] = "the hub of the neighbour graph first"
    if unannotated:
        keys["unannotated"] = "normal"
        remarks["unannotated"] = (
            f"{unannotated} parts have no annotation; left_out: nobody has looked at them"
        )
    return DataBlock(keys=keys, remarks=remarks)
