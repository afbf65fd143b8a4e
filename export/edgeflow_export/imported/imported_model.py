"""A network from elsewhere as the model of an export: what the file computes, and its graph for a part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnx
import openvino as ov

from edgeflow.backends.openvino.core import openvino_core
from edgeflow.contracts.parity import relative_error
from edgeflow.contracts.scoring import FloatArray, Scoring
from edgeflow.errors import CheckpointError, ConfigError, DataError
from edgeflow_export.imported.ir_file import read_ir
from edgeflow_export.imported.ir_network import IrNetwork, load_ir_network
from edgeflow_export.imported.network_input import Images, NetworkInput
from edgeflow_export.imported.network_output import ChosenOutput
from edgeflow_export.imported.onnx_file import read_onnx
from edgeflow_export.imported.onnx_network import load_onnx_network
from edgeflow_export.imported.part_graph import Form, MapShape, PartForm, map_shape
from edgeflow_export.memory import Volume, volume_of_graph
from edgeflow_export.recipe import ImageSpec, ImportRecipe

__all__ = ["KIND", "ImportedModel", "load_imported", "require_varying"]

KIND = "imported_from"
"""In the provenance: the origin of a network from elsewhere; absent where this program trained the model."""
SAME = 1e-5
"""Relative error up to which the views of a batch are the views one by one."""


class Network(Protocol):
    """A network in one format of file; the graphs of each format are its own."""

    @property
    def input(self) -> NetworkInput:
        """The description of its input."""

    @property
    def output(self) -> ChosenOutput[Any]:
        """The output that is judged."""

    @property
    def provenance(self) -> dict[str, str]:
        """The origin as the file states it."""

    def run(self, tensor: npt.NDArray[np.generic]) -> FloatArray:
        """The output of the network as the file holds it."""

    def fixed(self, images: int) -> Any:
        """The network for so many images, with every axis fixed."""

    @property
    def batches(self) -> Sequence[Callable[[int], Any]]:
        """Give the network for so many images, in forms that may give what it gives one by one."""

    def result(self, fixed: Any, tensor: npt.NDArray[np.generic]) -> FloatArray:
        """The output of a network with fixed axes."""

    def part(self, fixed: Any, form: PartForm) -> onnx.ModelProto | ov.Model:
        """The graph of one part around a network with fixed axes."""


@dataclass(frozen=True, kw_only=True)
class ImportedModel:
    """A network and all that its scores depend on.

    Attributes:
        path: of the network's file.
        views: in the order of the graph's first axis; empty until the parts are known.
    """

    recipe: ImportRecipe
    path: Path
    net: Network
    views: tuple[str, ...] = ()

    statistics = None
    """There are none: they come from training."""

    @property
    def network(self) -> NetworkInput:
        """The description of the network's input."""
        return self.net.input

    @property
    def output(self) -> ChosenOutput[Any]:
        """The output that is judged."""
        return self.net.output

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
                f"{self.path}: input {network.name} takes {fixed} images at once, the parts have "
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
        return map_shape(found.shape, count, f"{self.path}: output {self.output.name}")

    @cached_property
    def form(self) -> Form:
        """The cheapest form of the part's graph that gives what the views give one by one."""
        if self.takes_whole_parts:
            return "part"
        return "copies" if self._batched is None else "batch"

    @cached_property
    def _batched(self) -> Any | None:
        """The network for all views as one batch; None where it does not give what it gives one by one."""
        images = self._noise(len(self.views))
        expected = self.maps(images)
        for attempt in self.net.batches:
            try:
                fixed = attempt(len(self.views))
                found = self.net.result(fixed, self._fed(images))
            except Exception:  # noqa: BLE001, S112 - whatever does not run as a batch runs as copies
                continue
            same = found.size == expected.size
            if same and relative_error(found.reshape(expected.shape), expected) <= SAME:
                return fixed
        return None

    def graph(self) -> onnx.ModelProto | ov.Model:
        """The graph of one part, uint8 images (V, H, W, 3) to float32 maps (V, h, w); made once.

        Raises:
            CheckpointError: an operator that no box runs.
        """
        return self._graph

    @property
    def is_float_alone(self) -> bool:
        """True of an OpenVINO graph, from which no INT8 is made."""
        return isinstance(self.net, IrNetwork)

    @property
    def volume(self) -> Volume | None:
        """Bytes that the graph of one part holds and writes; None where OpenVINO cannot tell."""
        graph = self.graph()
        if isinstance(graph, ov.Model):
            return volume_of_graph(graph)
        try:
            return volume_of_graph(openvino_core().read_model(model=graph.SerializeToString(), weights=b""))
        except Exception:  # noqa: BLE001 - an operator that it lacks, or a file over its limits: no estimate
            return None

    @cached_property
    def _graph(self) -> onnx.ModelProto | ov.Model:
        batched = None if self.takes_whole_parts else self._batched
        count = len(self.views) if self.takes_whole_parts else self._alone
        form = PartForm(
            spec=self.recipe.network,
            size=self.size,
            views=len(self.views),
            kind=self.form,
            alone=self._alone,
        )
        return self.net.part(self.net.fixed(count) if batched is None else batched, form)

    @property
    def provenance(self) -> dict[str, str]:
        """Origin of the network, for the manifest and the report."""
        network, size = self.network, self.size
        wiring = {
            "batch": "one network for every view, all views as one batch",
            "copies": f"one network for every view, {self._alone} at a time",
            "part": "one network for all views at once",
        }[self.form]
        result = size.kind if size.kind != "map" else f"map of {size.height}x{size.width}"
        return {
            KIND: self.recipe.network.origin,
            **self.net.provenance,
            "network_input": f"{network.name}, {network.layout} {network.dtype}, "
            f"{network.height}x{network.width}",
            "network_output": f"{self.output.described}, {result}",
            "network_views": wiring,
        }

    def _noise(self, count: int) -> Images:
        shape = (count, self.network.height, self.network.width, 3)
        return np.random.default_rng(0).integers(0, 256, shape, np.uint8)

    def _fed(self, images: Images) -> npt.NDArray[np.generic]:
        return self.network.tensor(images, self.recipe.network)

    def _run(self, images: Images) -> FloatArray:
        return self.net.run(self._fed(images))


def load_imported(recipe: ImportRecipe) -> ImportedModel:
    """Read a network; nothing of it is run.

    Raises:
        CheckpointError: see ``read_onnx``, ``read_ir``, ``read_input``, ``choose_output``; or no box runs an
            operator.
        ConfigError: graphs for ONNX Runtime alone, of a network in OpenVINO's format.
    """
    spec = recipe.network
    if spec.file.suffix.lower() in {".xml", ".bin"} and spec.origin == "anomalib":
        if "openvino" not in recipe.export.backends:
            raise ConfigError(
                f"export.backends: {spec.file} is an OpenVINO graph, which OpenVINO alone runs; add "
                "openvino, or export the network to ONNX"
            )
        net: Network = load_ir_network(read_ir(spec.file), recipe)
    else:
        net = load_onnx_network(read_onnx(spec.file), recipe)
    image = recipe.image or ImageSpec(height=net.input.height, width=net.input.width)
    return ImportedModel(recipe=recipe.model_copy(update={"image": image}), path=spec.file, net=net)


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
