"""The full size: EfficientNet-B5 at 768x768, five views, the whole Multi-Flow; random weights, real parts.

Exported by ``edgeflow export`` in a process of its own, whose time and memory are measured; then ``edgeflow
bench`` lets the bundle's graphs take turns with the naive export of the same checkpoint. Random weights cost
what trained ones cost; what INT8 does to their scores says nothing, so the budgets are wide open.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import torch
from rich.console import Console

from benchmarks.measured_process import watched_run
from edgeflow.contracts.datasets.find_parts import find_parts
from edgeflow_export.checkpoints.checkpoint import TrainedModel, build_model, save_checkpoint
from edgeflow_export.data.dataset import load_dataset, load_images
from edgeflow_export.features.extractors import build_extractor
from edgeflow_export.recipe import Recipe

PARTS = Path(__file__).resolve().parents[1] / "demo" / "parts"
RECIPE = {
    "name": "full-size",
    "flow": {"graph": "cs_neigh", "hidden": 64, "kernels": [3, 3, 3, 3, 3, 5]},
    "training": {"standardise": "channel"},
    "export": {
        "backends": ["openvino"],
        "golden_parts": 1,
        "tolerance_int8": 100.0,
        "max_flip_rate": 1.0,
        "max_score_bias": 1e6,
        "max_score_deviation": 1e6,
    },
}


@click.command()
@click.option(
    "--parts", "count", type=click.IntRange(min=6), default=12, show_default=True, help="Exported with."
)
@click.option("--side", type=click.IntRange(min=64), default=768, show_default=True, help="Of the images.")
@click.option("--turns", type=click.IntRange(min=3), default=10, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True)
@click.option("--keep", type=click.Path(path_type=Path), help="Folder for checkpoint and bundle; reused.")
@click.option("--json", "json_output", is_flag=True)
def main(count: int, side: int, turns: int, threads: int, keep: Path | None, json_output: bool) -> None:
    """Export the full size, then set it against its naive export."""
    console = Console(stderr=True, highlight=False)
    with tempfile.TemporaryDirectory() as scratch:
        folder = keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        checkpoint, bundle = folder / "full.safetensors", folder / "full.bundle"
        if not checkpoint.exists():
            console.print("making a checkpoint of random weights")
            _write_checkpoint(checkpoint, _normal_parts(folder / "parts", count), side)
        exported = None
        if not bundle.exists():
            exported = _export(checkpoint, bundle)
            console.print(f"export: {exported['seconds']:.0f} s, peak memory {exported['peak_gb']:.1f} GB")
        command = [sys.executable, "-m", "edgeflow.cli", "bench", str(bundle), "--against", str(checkpoint)]
        command += ["--turns", str(turns), "--at-most", "300", "--threads", str(threads)]
        done = subprocess.run(
            [*command, *(["--json"] if json_output else [])], stdout=subprocess.PIPE, check=True
        )
        if json_output:
            click.echo(json.dumps({"export": exported, "bench": json.loads(done.stdout)}))
        else:
            click.echo(done.stdout.decode())


def _normal_parts(folder: Path, count: int) -> Path:
    """Normal parts of the demo, one folder each."""
    normal = [part for part in find_parts(PARTS) if not part.defective][:count]
    for part in normal:
        target = folder / part.part_id.replace("/", "_")
        target.mkdir(parents=True, exist_ok=True)
        for view, image in part.images.items():
            shutil.copy(image, target / f"{view}{image.suffix}")
    return folder


def _write_checkpoint(path: Path, parts: Path, side: int) -> None:
    """Random weights of the published shapes; features of deviation 1, couplings away from the identity."""
    torch.manual_seed(0)
    weights = path.with_name("extractor.pt")
    document = {
        **RECIPE,
        "image": {"height": side, "width": side},
        "data": {"root": str(parts), "validation_fraction": 0.5},
        "extractor": {"kind": "efficientnet_b5", "weights": str(weights)},
    }
    recipe = Recipe.model_validate_json(json.dumps(document))
    data = load_dataset(recipe)
    channels = 304
    module = build_model(recipe, channels, len(data.views))
    torch.save(module.extractor.state_dict(), weights)
    module.extractor = build_extractor(recipe.extractor, pretrained=True)
    with torch.inference_mode():
        features = module.features(torch.from_numpy(load_images(data.training[0], data)))
        module.feature_mean.copy_(features.mean((0, 2, 3)).view(1, -1, 1, 1))
        module.feature_std.copy_(features.std((0, 2, 3)).view(1, -1, 1, 1) + 1e-6)
    with torch.no_grad():
        for name, parameter in module.head.named_parameters():
            if name.endswith("gamma"):
                parameter.uniform_(0.5, 1.0)
    model = TrainedModel(recipe=recipe, module=module, views=data.view_ids, statistics=None, provenance={})
    save_checkpoint(path, model)


def _export(checkpoint: Path, bundle: Path) -> dict[str, float]:
    begun_s = time.monotonic()
    command = [sys.executable, "-m", "edgeflow.cli", "export", str(checkpoint), "-o", str(bundle)]
    output, peak = watched_run(command)
    click.echo(output, err=True)
    return {"seconds": time.monotonic() - begun_s, "peak_gb": peak / 1e9}


if __name__ == "__main__":
    main()
