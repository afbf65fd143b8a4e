"""A network from elsewhere as the model of an export: what the file computes, and its graph for a part."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import onnx
import onnxruntime as ort

from edgeflow.backends.inspect_onnx import refused_in
from edgeflow.backends.onnxruntime.runner import open_session
from edgeflow.backends.runner import DEFAULT_PLACEMENT
from edgeflow.contracts.parity import relative_error
from edgeflow.contracts.scoring import FloatArray, Scoring
from edgeflow.errors import CheckpointError, DataError
from edgeflow_export.imported.network_input import Images, NetworkInput, read_input
from edgeflow_export.imported.network_output import ChosenOutput, choose_output, cut_to, folded
from edgeflow_export.imported.onnx_file import OnnxFile, read_onnx
from edgeflow_export.imported.part_graph import Form, MapShape, map_shape, part_graph, with_batch
from edgeflow_export.recipe import ImageSpec, ImportRecipe

__all__ = ["KIND", "ImportedModel", "load_imported", "require_varying"]

KIND = "imported_from"
"""In the provenance: the origin of a network from elsewhere; absent where this program trained the model."""
SAME = 1e-5
"""Relative error up to which the views of a batch are the views one by one."""


@dataclass(frozen=True, kw_only=True)
class ImportedModel:
    """A network and all that its scores depend on.

    Attributes:
        cut: the file's graph with the chosen output alone.
        views: in the order of the graph's first axis; empty until the parts are known.
    """

    recipe: ImportRecipe
    file: OnnxFile
    network: NetworkInput
    output: ChosenOutput
    cut: onnx.ModelProto
    views: tuple[str, ...] = ()

    statistics = None
    """There are none: they come from training."""

    def scoring(self, statistics_file: str | None = None) -> Scoring:
        """The manifest's rules from maps to scores."""
        return self.recipe.scoring.scoring(statistics_file, None)

    def with_views(self, views: tuple[str, ...]) -> ImportedModel:
        """The model for parts with these views.

        Raises:
            CheckpointError: the network takes another number of images.
        """
        network = self.network
        fixed = network.views if "V" in network.layout else network.batch
        alone = "V" not in network.layout and (fixed == 1 or self._judges_images)
        if fixed not in (None, len(views)) and not alone:
            raise CheckpointError(
                f"{self.file.path}: input {network.name} takes {fixed} images at once, the parts have "
                f"{len(views)} views; choose among them with data.views, or export the network with a batch "
                f"of 1 (one view shared by all) or of {len(views)} (all views at once)"
            )
        return replace(self, views=views)

    @property
    def takes_whole_parts(self) -> bool:
        """True if one run of the network is one part; else it is one view, whichever that is."""
        return "V" in self.network.layout or (
            not self._judges_images
            and self.network.batch is not None
            and self.network.batch == len(self.views) > 1
        )

    @property
    def _judges_images(self) -> bool:
        """True if images of a batch never meet, whatever the batch: anomalib exports some with one of two."""
        return self.recipe.network.origin == "anomalib"

    def maps(self, images: Images) -> FloatArray:
        """Maps (V, h, w) of one part as the file itself computes them, on images prepared without the graph.

        Args:
            images: uint8 (V, H, W, 3).
        """
        size = self.size
        if self.takes_whole_parts:
            found = self._run(images)
            shape = (len(images), size.height, size.width)
            whole = size.kind == "part score"
            return np.broadcast_to(found.reshape((1, 1, 1) if whole else shape), shape).copy()
        runs = [self._run(np.repeat(image[None], self._alone, axis=0)) for image in images]
        return np.stack([run[0].reshape(size.height, size.width) for run in runs])

    @property
    def _alone(self) -> int:
        """Images of one run where one view goes through alone; it then fills all of a fixed batch."""
        return self.network.batch or 1

    @cached_property
    def size(self) -> MapShape:
        """Shape of what one run gives.

        Raises:
            CheckpointError: neither map nor score, or the network does not run.
        """
        count = len(self.views) if self.takes_whole_parts else self._alone
        found = self._run(self._noise(count))
        return map_shape(found.shape, count, f"{self.file.path}: output {self.output.name}")

    @cached_property
    def form(self) -> Form:
        """The cheapest form of the part's graph that gives what the views give one by one."""
        if self.takes_whole_parts:
            return "part"
        return "copies" if self._batched is None else "batch"

    @cached_property
    def _batched(self) -> onnx.ModelProto | None:
        """The network for all views as one batch; None where it does not give what it gives one by one."""
        images = self._noise(len(self.views))
        expected = self.maps(images)
        for scaled in (False, True):
            try:
                model = folded(with_batch(self.cut, self.network, len(self.views), scaled=scaled))
                found = np.asarray(_session(model, self.file).run(None, self._fed(images))[0], np.float32)
            except Exception:  # noqa: BLE001, S112 - whatever does not run as a batch runs as copies
                continue
            same = found.size == expected.size
            if same and relative_error(found.reshape(expected.shape), expected) <= SAME:
                return model
        return None

    def graph(self) -> onnx.ModelProto:
        """The graph of one part, uint8 images (V, H, W, 3) to float32 maps (V, h, w).

        Raises:
            CheckpointError: an operator that no box runs.
        """
        batched = None if self.takes_whole_parts else self._batched
        count = len(self.views) if self.takes_whole_parts else self._alone
        fixed = batched or folded(with_batch(self.cut, self.network, count))
        spec, views = self.recipe.network, len(self.views)
        made = part_graph(fixed, self.network, spec, self.size, views, self.form, self._alone)
        _require_allowed(made, self.file)
        return made

    @property
    def provenance(self) -> dict[str, str]:
        """Origin of the network, for the manifest and the report."""
        file, network, size = self.file, self.network, self.size
        wiring = {
            "batch": "one network for every view, all views as one batch",
            "copies": f"one network for every view, {self._alone} at a time",
            "part": "one network for all views at once",
        }[self.form]
        result = size.kind if size.kind != "map" else f"map of {size.height}x{size.width}"
        return {
            KIND: self.recipe.network.origin,
            "network_file": f"{file.path.name}, sha256 {file.sha256}",
            "network_producer": file.producer,
            "network_opset": str(file.opset),
            "network_input": f"{network.name}, {network.layout} {network.dtype}, "
            f"{network.height}x{network.width}",
            "network_output": f"{self.output.described}, {result}",
            "network_views": wiring,
        }

    def _noise(self, count: int) -> Images:
        shape = (count, self.network.height, self.network.width, 3)
        return np.random.default_rng(0).integers(0, 256, shape, np.uint8)

    def _fed(self, images: Images) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
        return {self.network.name: self.network.tensor(images, self.recipe.network)}

    def _run(self, images: Images) -> FloatArray:
        try:
            return np.asarray(self._session.run(None, self._fed(images))[0], np.float32)
        except Exception as cause:  # ONNX Runtime has no common base class for its errors
            raise CheckpointError(
                f"{self.file.path}: the network does not run on {len(images)} image(s) of "
                f"{self.network.height}x{self.network.width}: {_last_line(cause)}"
            ) from cause

    @cached_property
    def _session(self) -> ort.InferenceSession:
        return _session(self.cut, self.file)


def load_imported(recipe: ImportRecipe) -> ImportedModel:
    """Read a network; nothing of it is run.

    Raises:
        CheckpointError: see ``read_onnx``, ``read_input``, ``choose_output``; or no box runs an operator.
    """
    spec = recipe.network
    file = read_onnx(spec.file)
    network = read_input(file, spec, recipe.size)
    # Constants are folded to see the end of the graph; of the graph itself only once its axes are fixed.
    try:
        end = replace(file, model=folded(file.model))
    except Exception as cause:  # the library has errors of its own for every kind of damage
        reason = _last_line(cause.__cause__ or cause)
        raise CheckpointError(f"{file.path}: not a valid ONNX graph: {reason}; export it again") from cause
    output = choose_output(end, spec.output, anomalib=spec.origin == "anomalib")
    cut = cut_to(file.model, output.tensor)
    if network.name not in {name for node in cut.graph.node for name in node.input}:
        raise CheckpointError(
            f"{file.path}: output {output.name} does not depend on the images; name another one"
        )
    _require_allowed(folded(with_batch(cut, network, network.views or network.batch or 1)), file)
    image = recipe.image or ImageSpec(height=network.height, width=network.width)
    recipe = recipe.model_copy(update={"image": image})
    return ImportedModel(recipe=recipe, file=file, network=network, output=output, cut=cut)


def require_varying(maps: FloatArray, name: str) -> None:
    """Refuse maps (n, V, h, w) that tell nothing.

    Raises:
        DataError: every part has one and the same value everywhere.
    """
    if len(maps) > 1 and np.ptp(maps) == 0:
        raise DataError(
            f"{name} gives {float(maps.flat[0]):g} for every pixel of all {len(maps)} parts, so it judges "
            "nothing; check mean, std, value_range and the name of the output (a map after normalisation and "
            "clamp is 0 on good parts: see --anomalib)"
        )


def _require_allowed(model: onnx.ModelProto, file: OnnxFile) -> None:
    reason = refused_in(model.SerializeToString())
    if reason is not None:
        raise CheckpointError(
            f"{file.path}: {reason}; boxes refuse such graphs: change the network, or export it without this"
        )


def _session(model: onnx.ModelProto, file: OnnxFile) -> ort.InferenceSession:
    try:
        return open_session(model.SerializeToString(), DEFAULT_PLACEMENT)
    except Exception as cause:  # ONNX Runtime has no common base class for its errors
        raise CheckpointError(f"{file.path}: ONNX Runtime cannot load it: {_last_line(cause)}") from cause


def _last_line(cause: BaseException) -> str:
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return lines[-1] if lines else type(cause).__name__
