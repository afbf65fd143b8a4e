"""MVANet's official file in a bundle: the box masks and scores as the published pipeline does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from edgeflow.bundles.bundle import Bundle
from edgeflow.cli.main import cli
from edgeflow.contracts.images import read_image
from edgeflow.contracts.mask_postprocessing import foreground_masks
from edgeflow.scoring.loading import choose_graph, make_scorer
from edgeflow_export.models.published_mvanet import published_mvanet
from tests.support import reference
from tests.support.official import MEAN, RECIPE, STD, published_scores, three_views

SIZE = 256
VIEWS = ("C1", "C2", "C3")


@pytest.fixture(scope="module")
def folder(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("official")
    torch.save(
        three_views(reference.published_state(published, "multiflow_small_cs_neigh")), root / "flow.pth"
    )
    torch.save(reference.published_state(published, "mvanet"), root / "Model_80.pth")
    (root / "recipe.yaml").write_text(RECIPE.replace("class_name: disc, ", ""))
    for part in range(4):
        (root / "parts" / f"p{part}").mkdir(parents=True)
        for view, name in enumerate(VIEWS):
            pixels = np.random.default_rng([part, view]).integers(0, 256, (6, 6, 3), np.uint8)
            image = Image.fromarray(pixels).resize((90, 70), Image.Resampling.BICUBIC)
            image.save(root / "parts" / f"p{part}" / f"{name}.png")
    return root


def masks_by_torch(state: dict[str, torch.Tensor], images: list[Path]) -> np.ndarray:
    """Masks (V, 8, 8): one look of MVANet at the whole image, then the published mask steps."""
    network = published_mvanet(state)
    pixels = [Image.open(f).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR) for f in images]
    x = torch.from_numpy(np.stack([np.asarray(image) for image in pixels])).permute(0, 3, 1, 2).float() / 255
    x = (x - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
    with torch.inference_mode():
        return foreground_masks(network(x)[:, 0].numpy(), 8, 8)


@pytest.mark.timeout(1500)  # MVANet has 94 million parameters
def test_bundle_with_mvanet_masks_and_scores_as_published(folder: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "flow.bundle"
    arguments = ["export", "--multiflow", str(folder / "flow.pth"), "--mvanet", str(folder / "Model_80.pth")]
    arguments += ["--recipe", str(folder / "recipe.yaml"), "--foreground-size", str(SIZE), "-o", str(bundle)]
    done = CliRunner(env={"XDG_CACHE_HOME": str(tmp_path / "cache")}).invoke(
        cli, arguments, catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    arguments = ["score", str(bundle), str(folder / "parts"), "--json", "--maps", str(tmp_path / "maps")]
    done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    lines = {line["part_id"]: line for line in map(json.loads, done.stdout.splitlines()) if "part_id" in line}
    images = [folder / "parts" / "p0" / f"{view}.png" for view in VIEWS]
    maps, _ = published_scores(torch.load(folder / "flow.pth", weights_only=True), images)
    masks = masks_by_torch(torch.load(folder / "Model_80.pth", weights_only=True), images)
    assert 0 < masks.mean() < 1
    with np.load(tmp_path / "maps" / "p0" / "maps.npz") as found:
        assert reference.deviation(found["maps"], maps * masks) < 1e-5
    assert lines["p0"]["score_raw"] == pytest.approx((maps * masks).max((1, 2)).mean(), rel=1e-5)

    with Bundle.open(bundle) as opened:
        scorer = make_scorer(opened, choose_graph(opened, backend="openvino", precision="fp32"))
        threshold = opened.manifest.reference_thresholds.part.threshold
    for part in sorted((folder / "parts").iterdir()):
        scores = scorer.score({view: read_image(part / f"{view}.png") for view in VIEWS})
        assert (scores.part > threshold) == (lines[part.name]["verdict"] == "NG")
        if scores.part <= threshold:
            assert len(scores.masked) < len(VIEWS) or scores.part == pytest.approx(
                lines[part.name]["score_raw"], rel=1e-5
            )
