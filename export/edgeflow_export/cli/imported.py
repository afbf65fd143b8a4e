"""``edgeflow export --onnx`` and ``--anomalib``: options to the recipe of a network from elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edgeflow.contracts.documents.document import parse_document
from edgeflow.errors import ConfigError, UsageError
from edgeflow_export.imported.anomalib_export import anomalib_file
from edgeflow_export.recipe import HELD_OUT_OF_IMPORTED, ImageSpec, ImportRecipe, NetworkSpec, Recipe

__all__ = ["ImportOptions"]

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """Options about a network from elsewhere, as given; None leaves the recipe's value.

    Attributes:
        onnx, anomalib: the file, or the folder of an anomalib export.
        graph_output: the output that is judged.
        image_size: such as 256x256, height first.
        mean, std: three numbers with commas between.
        value_range: two numbers with a comma between.
        colour: rgb or bgr.
    """

    onnx: Path | None = None
    anomalib: Path | None = None
    graph_output: str | None = None
    image_size: str | None = None
    mean: str | None = None
    std: str | None = None
    value_range: str | None = None
    colour: str | None = None

    def recipe(
        self, recipe: Recipe | ImportRecipe | None, *, parts: Path | None, class_name: str | None
    ) -> ImportRecipe | None:
        """The recipe of a network from elsewhere; None where a trained model is asked for.

        Args:
            recipe: as read from a file.
            parts: folder of parts, instead of the recipe's.

        Raises:
            UsageError: options that do not go together, or no parts.
            ConfigError: values that are not what they should be.
            CheckpointError: an anomalib checkpoint instead of an export.
        """
        named = self.onnx is not None or self.anomalib is not None
        if not named and not isinstance(recipe, ImportRecipe):
            given = [_flag(key) for key, value in vars(self).items() if value is not None]
            if given:
                raise UsageError(
                    f"{', '.join(given)}: go with --onnx FILE or --anomalib MODEL; name the network"
                )
            return None
        if self.onnx is not None and self.anomalib is not None:
            raise UsageError("--onnx and --anomalib name two networks; a bundle holds one: leave one out")
        if isinstance(recipe, Recipe):
            raise UsageError("--recipe: describes a model to train; for a network it has a section 'network'")
        described = recipe or self._new(parts, class_name)
        changed = self._network(None if recipe is None else recipe.network)
        update: dict[str, object] = {"network": changed}
        if self.image_size is not None:
            update["image"] = self._image(described.image)
        placed = {"root": parts, "class_name": class_name}
        update["data"] = described.data.model_copy(
            update={key: value for key, value in placed.items() if value is not None}
        )
        return described.model_copy(update=update)

    def _new(self, parts: Path | None, class_name: str | None) -> ImportRecipe:
        if parts is None:
            raise UsageError(
                "a network from elsewhere needs good parts, for thresholds and golden parts: --parts FOLDER"
            )
        found = sorted((parts / "realiad_jsons").glob("*.json"))
        known = class_name or (found[0].stem if len(found) == 1 else parts.resolve().name)
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", known).strip("-._")[:64] or "product"
        data = {"root": str(parts), "class_name": class_name, "validation_fraction": HELD_OUT_OF_IMPORTED}
        content = {"name": name, "data": data, "network": {"file": ""}}
        return parse_document(ImportRecipe, content, what="export", error=ConfigError)

    def _network(self, before: NetworkSpec | None) -> NetworkSpec:
        content: dict[str, object] = {}
        if before is not None:
            content = before.model_dump(mode="json", exclude_unset=True)
        file = self.onnx if self.onnx is not None else self.anomalib
        if file is not None:
            content |= {"file": str(file), "origin": "onnx" if self.onnx is not None else "anomalib"}
        numbers = {"mean": (self.mean, 3), "std": (self.std, 3), "value_range": (self.value_range, 2)}
        given = {key: (text, count) for key, (text, count) in numbers.items() if text is not None}
        content |= {key: _numbers(_flag(key), text, count) for key, (text, count) in given.items()}
        named = {"output": self.graph_output, "colour": self.colour}
        content |= {key: value for key, value in named.items() if value is not None}
        spec = parse_document(NetworkSpec, content, what="network", error=ConfigError)
        if spec.origin == "anomalib":
            spec = spec.model_copy(update={"file": anomalib_file(spec.file)})
        return spec

    def _image(self, before: ImageSpec | None) -> ImageSpec:
        found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", self.image_size or "")
        if found is None:
            raise UsageError(f"--image-size {self.image_size}: expected HEIGHTxWIDTH, such as 256x256")
        height, width = int(found[1]), int(found[2])
        if before is None:
            return ImageSpec(height=height, width=width)
        return before.model_copy(update={"height": height, "width": width})


def _flag(key: str) -> str:
    return f"--{key.replace('_', '-')}"


def _numbers(flag: str, text: str, count: int) -> tuple[float, ...]:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != count or not all(re.fullmatch(_NUMBER, part) for part in parts):
        raise UsageError(f"{flag} {text}: expected {count} numbers with commas between")
    return tuple(float(part) for part in parts)
