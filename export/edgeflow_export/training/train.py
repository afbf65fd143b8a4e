"""From a recipe to a checkpoint: extractor, features, flow, statistics; each step resumable."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from edgeflow import __version__
from edgeflow.contracts.datasets.find_parts import RecordedPart
from edgeflow.contracts.scoring import Masks
from edgeflow.errors import CheckpointError
from edgeflow_export.checkpoints.checkpoint import (
    IMAGES_READ,
    TrainedModel,
    flow_shape,
    load_checkpoint,
    save_checkpoint,
)
from edgeflow_export.data.array_cache import default_cache_dir
from edgeflow_export.data.dataset import Dataset, load_dataset, require_depth, require_training_parts
from edgeflow_export.distributed import ALONE, Processes
from edgeflow_export.features.extractors import (
    build_extractor,
    extractor_identity,
    extractor_provenance,
    tiled,
)
from edgeflow_export.features.feature_cache import FeatureStore, cache_features
from edgeflow_export.features.self_supervised import STATE_FILE as EXTRACTOR_STATE
from edgeflow_export.features.self_supervised import train_extractor
from edgeflow_export.features.statistics import Standardisation, feature_statistics, pixel_statistics
from edgeflow_export.masks.distillation import distil
from edgeflow_export.masks.mask_cache import cache_masks
from edgeflow_export.masks.teachers import MaskTeacher, load_teacher
from edgeflow_export.models.inspection_model import InspectionModel
from edgeflow_export.models.multiflow import FlowShape, MultiFlow
from edgeflow_export.models.patch_memory import PatchMemory
from edgeflow_export.models.published_multiflow import initial_state
from edgeflow_export.progress import announce
from edgeflow_export.recipe import HEADED, Recipe, SelfSupervisedExtractor
from edgeflow_export.training.fingerprints import fingerprint, fingerprints_of
from edgeflow_export.training.flow import STATE_FILE as FLOW_STATE
from edgeflow_export.training.flow import require_even_split, train_flow
from edgeflow_export.training.history import TensorBoard
from edgeflow_export.training.memory_bank import cross_fitted_maps, fill_memory
from edgeflow_export.training.view_scales import training_view_scores, view_scales
from edgeflow_export.weight_files import read_published

__all__ = ["CHECKPOINT_NAME", "train"]

CHECKPOINT_NAME = "checkpoint.safetensors"
_FINGERPRINT = "training_fingerprint"
_EPOCHS = "training_epochs"


def train(
    recipe: Recipe,
    out: Path,
    *,
    resume: bool = True,
    cache_dir: Path | None = None,
    progress: bool = True,
    processes: Processes = ALONE,
    search_path: Sequence[Path] = (),
    extractor_folder: Path | None = None,
    tensorboard: Path | None = None,
) -> Path:
    """Train a recipe's model and write ``checkpoint.safetensors``.

    An interrupted training is taken up where its last state was written, with the same result as an
    uninterrupted one. A finished one is left as it is; where only scoring, thresholds or export have
    changed, its checkpoint gets the new recipe without training; where the recipe has more epochs than
    before, it goes on from its last one.

    Args:
        out: folder of the checkpoint and of the state files.
        resume: False to start anew, whatever lies in ``out``.
        cache_dir: folder of the feature cache; default ``default_cache_dir()``.
        processes: those that train together; ``out`` must be a folder that all of them share.
        search_path: folders where a function extractor's module may lie.
        extractor_folder: of a self-supervised extractor's state, which several flows may share; default
            ``out``.
        tensorboard: folder for TensorBoard's files, where wanted.

    Raises:
        DataError: unusable parts, non-finite features or loss.
        CheckpointError: ``out`` holds the training of another recipe, or a longer one.
        UsageError: TensorBoard is not installed.
        ConfigError: the extractor cannot be built.
        StorageError: too little room, or a folder that cannot be written.
    """
    progress = progress and processes.first
    dataset = load_dataset(recipe)
    require_training_parts(dataset, recipe.training.batch if recipe.model == "multi_flow" else 1)
    require_depth(dataset, allow_dark=recipe.image.allow_dark)
    require_even_split(recipe.training.batch, processes)
    board = TensorBoard(tensorboard) if tensorboard is not None and processes.first else None
    fingerprints = fingerprints_of(recipe, dataset)
    target = out / CHECKPOINT_NAME
    finished = _finished(target, fingerprints) if resume else None
    if finished is not None and finished.recipe == recipe:
        announce(f"{target}: training is finished, nothing to do", enabled=progress)
        return target
    extractor_folder = extractor_folder or out
    if not resume and processes.first:
        for state in (extractor_folder / EXTRACTOR_STATE, out / FLOW_STATE):
            state.unlink(missing_ok=True)
    processes.wait()
    run = _Run(
        recipe=recipe,
        dataset=dataset,
        out=out,
        extractor_folder=extractor_folder,
        cache_dir=cache_dir or default_cache_dir(),
        progress=progress,
        processes=processes,
        search_path=search_path,
        tensorboard=board,
    )
    goes_on = finished is not None and _goes_on(finished, recipe, target)
    model = run.with_new_recipe(finished) if finished is not None and not goes_on else run.train(fingerprints)
    if processes.first:
        save_checkpoint(target, model)  # the states stay: for more epochs, or another flow on the extractor
    processes.wait()
    if board is not None:
        board.close()
    announce(f"{target}: trained on {len(dataset.training)} normal parts", enabled=progress)
    return target


@dataclass(frozen=True, kw_only=True)
class _Run:
    """One training, with all that its steps share."""

    recipe: Recipe
    dataset: Dataset
    out: Path
    extractor_folder: Path
    cache_dir: Path
    progress: bool
    processes: Processes
    search_path: Sequence[Path]
    tensorboard: TensorBoard | None

    def train(self, fingerprints: Sequence[str]) -> TrainedModel:
        """A trained model from nothing, or from where it was interrupted."""
        recipe = self.recipe
        # First, since masks or weights that are not there are better missed now than after the extractor.
        teacher = load_teacher(recipe.foreground, device=self.processes.device)
        extractor = tiled(self._extractor(), recipe.image)
        store = self._features(extractor, self.dataset.training)
        # Early stopping chooses by these parts, so they set no threshold; else they are only watched.
        held_out = self._features(extractor, self.dataset.stopping or self.dataset.validation)
        standardise = feature_statistics(store, recipe.training.standardise)
        masks = self._masks(store, teacher)
        head, losses = self._head(store, held_out, standardise, masks, fingerprints)
        mask_head = None
        if masks is not None and recipe.foreground.kind in HEADED:
            mask_head = distil(store, masks, seed=recipe.training.seed, progress=self.progress)
        module = InspectionModel(extractor, standardise.mean, standardise.std, head, mask_head).eval()
        provenance = {
            _FINGERPRINT: fingerprints[0],
            **({_EPOCHS: str(recipe.training.epochs)} if recipe.model == "multi_flow" else {}),
            "trained_by": f"edgeflow {__version__}, torch {torch.__version__}",
            "training_parts": str(len(self.dataset.training)),
            IMAGES_READ: f"bits {self.dataset.depth.bits}, orientation followed",
            **extractor_provenance(recipe.extractor, extractor),
            **(
                {"winograd": ", ".join(map(str, head.winograd)) or "none"}
                if isinstance(head, MultiFlow)
                else {}
            ),
            "training_loss": f"{losses[-1]:.6g}" if losses else str(math.nan),
        }
        if self.dataset.stopping:
            provenance["stopping_parts"] = ", ".join(part.part_id for part in self.dataset.stopping)
        return self._model(module, store, provenance, masks)

    def with_new_recipe(self, finished: TrainedModel) -> TrainedModel:
        """A finished model under a recipe that differs only in what follows training."""
        scoring, store, masks = self.recipe.scoring, None, None
        if scoring.pixel_statistics or scoring.standardise_views:
            store = self._features(finished.module.extractor, self.dataset.training)
            if scoring.standardise_views and finished.module.mask_head is None:
                masks = self._masks(store, load_teacher(self.recipe.foreground, device=self.processes.device))
        return self._model(finished.module, store, finished.provenance, masks)

    def _model(
        self,
        module: InspectionModel,
        store: FeatureStore | None,
        provenance: dict[str, str],
        masks: Masks | None,
    ) -> TrainedModel:
        """The trained model with what its scoring takes from training parts.

        Args:
            store: their features, where the scoring needs them.
            masks: their foreground; not asked for where the model has a head of its own.
        """
        scoring, statistics, scales = self.recipe.scoring, None, None
        if scoring.pixel_statistics and store is not None:
            statistics = pixel_statistics(self._normal_maps(module, store))
        if scoring.standardise_views and store is not None:
            rules = scoring.scoring("statistics" if statistics else None, None)
            scales = view_scales(
                training_view_scores(
                    module, store, self._normal_maps(module, store), rules, statistics, masks
                )
            )
        return TrainedModel(
            recipe=self.recipe,
            module=module,
            views=self.dataset.view_ids,
            statistics=statistics,
            provenance=provenance,
            view_scales=scales,
        )

    def _head(
        self,
        store: FeatureStore,
        held_out: FeatureStore,
        standardise: Standardisation,
        masks: Masks | None,
        fingerprints: Sequence[str],
    ) -> tuple[MultiFlow | PatchMemory, list[float]]:
        """The head that the recipe names, and the losses of its epochs: a patch memory has none."""
        recipe, progress = self.recipe, self.progress
        if recipe.model == "patch_memory":
            spec, seed = recipe.patch_memory, recipe.training.seed
            return fill_memory(store, standardise, spec, seed=seed, masks=masks, progress=progress), []
        shape = flow_shape(recipe, store.shape[1], len(self.dataset.views))
        return train_flow(
            shape,
            store,
            standardise,
            spec=recipe.training,
            noise=recipe.noise,
            state_path=self.out / FLOW_STATE,
            fingerprints=fingerprints,
            held_out=held_out,
            tensorboard=self.tensorboard,
            masks=masks,
            initial=self._initial(shape),
            progress=progress,
            processes=self.processes,
        )

    def _normal_maps(self, module: InspectionModel, store: FeatureStore) -> Iterable[Tensor]:
        """Maps (V, h, w) of the training parts, as a part that the model has not seen would have them."""
        standardise = Standardisation(mean=module.feature_mean, std=module.feature_std)
        if module.memory is not None:
            spec, seed = self.recipe.patch_memory, self.recipe.training.seed
            return cross_fitted_maps(store, standardise, spec, seed=seed)
        return (module.maps(standardise(features)) for features in store)

    def _extractor(self) -> nn.Module:
        spec = self.recipe.extractor
        if not isinstance(spec, SelfSupervisedExtractor):
            return build_extractor(spec, pretrained=True, search_path=self.search_path)
        if not self.processes.first:
            self.processes.wait()
            extractor = build_extractor(spec, pretrained=False)
        else:
            extractor = train_extractor(
                spec,
                self.dataset,
                self.extractor_folder,
                fingerprint=fingerprint(self.recipe, self.dataset, "extractor"),
                seed=self.recipe.training.seed,
                progress=self.progress,
                device=self.processes.device,
            )
            self.processes.wait()
        self.processes.receive(list(extractor.to(self.processes.device).state_dict().values()))
        return extractor.to("cpu")

    def _initial(self, shape: FlowShape) -> dict[str, Tensor] | None:
        """The tensors that training goes on from, where the recipe names a file."""
        path = self.recipe.training.initial
        if path is None:
            return None
        return initial_state(read_published(path), shape, self.recipe.flow.graph)

    def _masks(self, store: FeatureStore, teacher: MaskTeacher | None) -> Masks | None:
        """Foreground masks of the training parts; None where every pixel counts."""
        if teacher is None:
            return None
        size = (store.shape[2], store.shape[3])
        return cache_masks(
            self.dataset.training,
            self.dataset,
            teacher,
            size,
            folder=self.cache_dir,
            progress=self.progress,
        )

    def _features(self, extractor: nn.Module, parts: Sequence[RecordedPart]) -> FeatureStore:
        """Features of all parts; every process computes its share, and finds the others' in the cache."""

        def cached(share: Sequence[RecordedPart], *, progress: bool) -> FeatureStore:
            return cache_features(
                share,
                self.dataset,
                extractor,
                identity=extractor_identity(extractor, self.recipe.extractor),
                folder=self.cache_dir,
                progress=progress,
                device=self.processes.device,
            )

        if self.processes.count > 1:
            cached(self.processes.share(parts), progress=self.progress)
            self.processes.wait()
        return cached(parts, progress=self.progress)


def _finished(path: Path, fingerprints: Sequence[str]) -> TrainedModel | None:
    if not path.is_file():
        return None
    model = load_checkpoint(path)
    if model.provenance.get(_FINGERPRINT) not in fingerprints:
        raise CheckpointError(
            f"{path}: was trained with another recipe or other data; choose another output folder, or "
            "train anew with --restart"
        )
    return model


def _goes_on(finished: TrainedModel, recipe: Recipe, target: Path) -> bool:
    """True if a finished training has epochs left under its new recipe.

    Raises:
        CheckpointError: it has been through more epochs, or what is needed to go on is not there.
    """
    been, wanted = int(finished.provenance.get(_EPOCHS, recipe.training.epochs)), recipe.training.epochs
    if wanted < been:
        raise CheckpointError(
            f"{target}: was trained for {been} epochs, the recipe says {wanted}; set training.epochs to "
            f"{been} or more, choose another output folder, or train anew with --restart"
        )
    state = target.with_name(FLOW_STATE)
    if wanted > been and not state.is_file():
        raise CheckpointError(
            f"{target}: was trained for {been} epochs and cannot go on to {wanted}: {state.name} is not "
            "there; train anew with --restart"
        )
    return wanted > been
