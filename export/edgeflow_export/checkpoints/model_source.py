"""The model that a command was given: a checkpoint of this program, or official files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from safetensors import SafetensorError, safe_open

from edgeflow.errors import ConfigError, DataError, UsageError
from edgeflow_export.checkpoints.checkpoint import IMAGES_READ, TrainedModel, load_checkpoint
from edgeflow_export.checkpoints.official_model import OFFICIAL, OfficialFiles, official_model
from edgeflow_export.data.dataset import Dataset
from edgeflow_export.recipe import Recipe

__all__ = ["ModelSource", "load_model", "with_views"]

_HEAD_SECTIONS = {"multi_flow": "flow", "patch_memory": "patch_memory"}
"""Section of the recipe that describes each head."""


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """The files named on the command line.

    Attributes:
        checkpoint: this program's, or an official Multi-Flow file; not with ``multiflow``.
        multiflow, backbone, mvanet: official files.
        graph: of an official flow, where its tensor names do not tell it.
        recipe: replaces the checkpoint's, or describes what official files leave open.
        parts: folder of recorded parts, instead of the recipe's.
        class_name: which class of a folder with several.
    """

    checkpoint: Path | None = None
    multiflow: Path | None = None
    backbone: Path | None = None
    mvanet: Path | None = None
    graph: str | None = None
    recipe: Recipe | None = None
    parts: Path | None = None
    class_name: str | None = None


def load_model(source: ModelSource, *, search_path: Sequence[Path] = ()) -> TrainedModel:
    """The trained model, its recipe pointing at the parts that were named.

    Raises:
        UsageError: no model, or two.
        CheckpointError, ConfigError: see ``load_checkpoint`` and ``official_model``.
    """
    given = [path for path in (source.checkpoint, source.multiflow) if path is not None]
    if len(given) != 1:
        raise UsageError(
            "name one model: a checkpoint, or the official files with --multiflow, --backbone and --mvanet"
        )
    if source.multiflow is None and _is_own(given[0]):
        model = _own_model(given[0], source, search_path)
    else:
        files = OfficialFiles(
            multiflow=given[0], backbone=source.backbone, mvanet=source.mvanet, graph=source.graph
        )
        model = official_model(
            files,
            source.recipe,
            root=source.parts,
            class_name=source.class_name or _only_class(source.parts),
            search_path=search_path,
        )
    return _placed(model, source)


def with_views(model: TrainedModel, dataset: Dataset) -> TrainedModel:
    """The model with the names of the parts' views; an official file tells only how many there are.

    Raises:
        DataError: the parts have other views, or images that an older version read otherwise.
    """
    official = OFFICIAL in model.provenance
    if not official and not dataset.reads_as_before and IMAGES_READ not in model.provenance:
        raise DataError(
            f"{dataset.root}: its images are to be turned (EXIF), or hold {dataset.depth.bits} bits, which "
            "the version of edgeflow that trained this model did not see; train it again"
        )
    flow = model.module.flow
    known: int | tuple[str, ...] = flow.shape.graph.views if official and flow is not None else model.views
    if known not in (dataset.view_ids, len(dataset.views)):
        trained = f"{known} views" if isinstance(known, int) else ", ".join(known)
        raise DataError(
            f"{dataset.root}: its parts have the views {', '.join(dataset.view_ids)}, the model was trained "
            f"on {trained}; give parts recorded by the same cameras, or choose among them with data.views"
        )
    return replace(model, views=dataset.view_ids)


def _only_class(parts: Path | None) -> str | None:
    """The class of a Real-IAD folder with one description; the folder's reader names all other cases."""
    found = list((parts / "realiad_jsons").glob("*.json")) if parts is not None else []
    return found[0].stem if len(found) == 1 else None


def _is_own(path: Path) -> bool:
    """True if a file says that this program wrote it; one that is not there is taken for such a file."""
    if path.suffix != ".safetensors":
        return not path.exists() and path.suffix not in {".pth", ".pt"}
    try:
        with safe_open(path, framework="pt") as file:
            return "edgeflow" in (file.metadata() or {})
    except (SafetensorError, OSError):
        return True  # its reader says what is wrong


def _own_model(path: Path, source: ModelSource, search_path: Sequence[Path]) -> TrainedModel:
    extra = [f"--{name}" for name in ("backbone", "mvanet", "graph") if getattr(source, name) is not None]
    if extra:
        raise UsageError(f"{path}: is complete; {', '.join(extra)} go with official Multi-Flow files")
    model = load_checkpoint(path, search_path=search_path)
    if source.recipe is None:
        return model
    changed = [
        key
        for key in ("image", "extractor", "model", _HEAD_SECTIONS[model.recipe.model])
        if getattr(source.recipe, key) != getattr(model.recipe, key)
    ]
    if changed:
        raise ConfigError(
            f"the recipe differs from the checkpoint's in what was trained: {', '.join(changed)}; "
            "train again, or leave these keys as they are"
        )
    return replace(model, recipe=source.recipe)


def _placed(model: TrainedModel, source: ModelSource) -> TrainedModel:
    """The model with its parts where the command line says."""
    update: dict[str, object] = {}
    if source.parts is not None:
        update["root"] = source.parts
    if source.class_name is not None:
        update["class_name"] = source.class_name
    recipe = model.recipe
    data = recipe.data.model_copy(update=update)
    return replace(model, recipe=recipe.model_copy(update={"data": data}))
