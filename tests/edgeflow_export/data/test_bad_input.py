"""Unusable input of an export is named, with the next step, before or instead of a bundle."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from edgeflow.contracts.datasets.recorded_part import RecordedPart
from edgeflow.contracts.manifest import Preprocessing, ViewSpec
from edgeflow.errors import ConfigError, DataError, DeviceError, StorageError
from edgeflow_export.bundling.release import Release
from edgeflow_export.checkpoints.model_source import ModelSource
from edgeflow_export.cli.export import ExportChoices, export
from edgeflow_export.conversion.onnx_and_ir import convert_to_ir, export_onnx, serialise_ir
from edgeflow_export.data.dataset import Dataset
from edgeflow_export.distributed import existing_device
from edgeflow_export.quantization.trial import require_finite


def test_values_that_are_not_finite_are_named_by_part_view_and_image() -> None:
    part = RecordedPart(
        part_id="p7", images={"top": Path("a.png"), "left": Path("b.png")}, masks={}, label=None, split=None
    )
    views = (ViewSpec(id="top"), ViewSpec(id="left"))
    data = Dataset(
        root=Path(),
        views=views,
        preprocessing=Preprocessing(height=8, width=8),
        training=(),
        validation=(part,),
        test=(),
    )
    maps = np.zeros((1, 2, 4, 4), np.float32)
    require_finite(maps, [part], data, "openvino-fp32")
    maps[0, 1, 2, 3] = np.nan
    with pytest.raises(DataError, match="openvino-fp32 gives values that are not finite") as caught:
        require_finite(maps, [part], data, "openvino-fp32")
    assert caught.value.problems == ("part p7, view left: b.png",)


def test_operator_that_the_back_end_lacks_is_named(tmp_path: Path) -> None:
    shape = [1, 4]
    graph = helper.make_graph(
        [helper.make_node("Dequirk", ["x"], ["y"], domain="com.example")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.example", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets), tmp_path / "g.onnx")
    with pytest.raises(DeviceError, match=r"Dequirk.*export.backends") as caught:
        convert_to_ir(tmp_path / "g.onnx")
    assert caught.value.exit_code == 6


def test_operation_without_a_form_in_onnx_is_a_matter_of_the_extractor(tmp_path: Path) -> None:
    class Looking(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.float() if int(images.sum()) > 0 else images.float() + 1

    example = torch.zeros((1, 4, 4, 3), dtype=torch.uint8)
    with pytest.raises(ConfigError, match=r"cannot be exported to ONNX: .*choose another extractor"):
        export_onnx(Looking().eval(), example, ("maps",), tmp_path / "g.onnx")


def test_graph_that_cannot_be_written_on_the_way_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    shape = [1, 4]
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / "g.onnx")
    with pytest.raises(StorageError, match=r"TMPDIR; no bundle was written"):
        serialise_ir(convert_to_ir(tmp_path / "g.onnx"), tmp_path / "file")


def test_output_that_cannot_be_written_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be written"):
        export(
            ModelSource(checkpoint=tmp_path / "no such checkpoint"),
            tmp_path / "file" / "b.bundle",
            choices=ExportChoices(),
            release=Release(),
            search_path=[],
            device="cpu",
            only=None,
            restart=False,
            ignore_memory=False,
            accept_low_recall=False,
            json_output=False,
        )


@pytest.mark.parametrize("name", ["cuda:77", "quantum"])
def test_device_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"--device {name}"):
        existing_device(name)


def test_full_disk_leaves_no_half_written_bundle(tmp_path: Path) -> None:
    """The system refuses to let a file grow, as a full disk does."""
    script = (
        "import resource, sys; from pathlib import Path\n"
        "from edgeflow.bundles.archive import write_archive; from edgeflow.errors import StorageError\n"
        "from edgeflow.files import write_then_verify\n"
        "import random; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n"
        "    with write_then_verify(Path(sys.argv[1])) as draft:\n"
        "        write_archive(draft, [('a', random.Random(1).randbytes(200_000))])\n"
        "except StorageError as error:\n"
        "    print(error); sys.exit(error.exit_code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "b.bundle")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 6, done.stderr
    assert "check space and rights" in done.stdout
    assert list(tmp_path.iterdir()) == []
