"""PaDiM and PatchCore trained by anomalib, exported to ONNX, with their own raw maps of test images.

anomalib is no dependency of this program, and this file needs nothing else of it, so it gets an environment
of its own::

    python3 -m venv anomalib && anomalib/bin/pip install 'anomalib>=2.7' onnx onnxscript openvino
    anomalib/bin/python tools/benchmarks/anomalib_train.py IMAGES OUT

IMAGES holds ``train/good``, ``test/good`` and ``test/defect``, as ``benchmarks.anomalib_compare images``
writes them. Of each model OUT gets ``MODEL/weights/onnx/model.onnx``, ``MODEL/weights/openvino`` and
``MODEL/maps.npz``: the raw anomaly maps and scores of the test images, before anomalib normalises and clamps
them. Backbones are untrained: nothing is downloaded.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["main"]

SIDE = 256
LAYERS = ["layer1", "layer2", "layer3"]


def main(images: Path, target: Path) -> None:
    """Train both models on one folder of images, and write what they are and compute."""
    torch = importlib.import_module("torch")
    models = importlib.import_module("anomalib.models")
    torch.set_num_threads(2)
    made: dict[str, Callable[[], Any]] = {
        "padim": lambda: models.Padim(backbone="resnet18", layers=LAYERS, pre_trained=False),
        "patchcore": lambda: models.Patchcore(
            backbone="resnet18", layers=LAYERS[1:], pre_trained=False, coreset_sampling_ratio=0.001
        ),
    }
    for name, make in made.items():
        if (target / name / "maps.npz").exists():
            continue
        torch.manual_seed(0)
        _one(make(), images, target / name)
        print(f"{name}: written to {target / name}", flush=True)


def _one(model: Any, images: Path, target: Path) -> None:
    torch, numpy = importlib.import_module("torch"), importlib.import_module("numpy")
    engine = importlib.import_module("anomalib.engine").Engine(
        default_root_dir=target / "run", accelerator="cpu", logger=False
    )
    data = importlib.import_module("anomalib.data").Folder(
        name="parts",
        root=images,
        normal_dir="train/good",
        normal_test_dir="test/good",
        abnormal_dir="test/defect",
        train_batch_size=8,
        eval_batch_size=8,
        num_workers=0,
        val_split_mode="same_as_test",
    )
    engine.fit(model=model, datamodule=data)
    model = model.eval().cpu()
    model.to_onnx(target, input_size=(SIDE, SIDE))
    model.to_openvino(target, input_size=(SIDE, SIDE))
    paths = sorted(path for kind in ("good", "defect") for path in (images / "test" / kind).iterdir())
    maps, scores = [], []
    with torch.inference_mode():
        for path in paths:
            # The whole module normalises the image by itself; the post-processor is left out.
            image = _image(path).unsqueeze(0)
            found = model.model(model.pre_processor(image))
            maps.append(found.anomaly_map[0, 0].numpy())
            scores.append(float(torch.as_tensor(found.pred_score).flatten()[0]))
    names = [f"{path.parent.name}/{path.stem}" for path in paths]
    numpy.savez(target / "maps.npz", names=names, maps=numpy.stack(maps), scores=numpy.array(scores))


def _image(path: Path) -> Any:
    """One image, float32 (3, H, W) from 0 to 1."""
    return importlib.import_module("anomalib.data.utils").read_image(path, as_tensor=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
