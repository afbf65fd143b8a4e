"""Official checkpoints straight into a bundle that scores as the published pipeline does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner

from edgeflow.cli.main import cli
from edgeflow.contracts.datasets.find_parts import find_parts
from edgeflow.errors import CheckpointError, ConfigError, DataError, UsageError
from edgeflow_export.checkpoints.checkpoint import load_checkpoint
from edgeflow_export.checkpoints.model_source import ModelSource, load_model
from edgeflow_export.models.published_multiflow import published_shape, published_state
from edgeflow_export.recipe import load_recipe
from edgeflow_export.training.train import train
from tests.support import reference
from tests.support.official import RECIPE, published_scores, three_views
from tests.support.tiny import write_parts


@pytest.fixture(scope="module")
def folder(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Published files of a small flow for three views, as their authors would have saved them."""
    root = tmp_path_factory.mktemp("official")
    write_parts(root / "parts", train=8, normal=2, defective=2)
    for name in ("cs_neigh", "cs_att_cross"):
        state = three_views(reference.published_state(published, f"multiflow_small_{name}"))
        torch.save(state, root / f"{name}.pth")
    (root / "recipe.yaml").write_text(RECIPE)
    return root


def test_bundle_of_official_files_scores_as_published(folder: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "small.bundle"
    arguments = ["export", "--multiflow", str(folder / "cs_neigh.pth"), "--recipe"]
    arguments += [str(folder / "recipe.yaml"), "-o", str(bundle)]
    done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    arguments = ["score", str(bundle), str(folder / "parts"), "--class", "disc", "--json"]
    arguments += ["--maps", str(tmp_path / "maps"), "--precision", "fp32"]
    done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    lines = {line["part_id"]: line for line in map(json.loads, done.stdout.splitlines()) if "part_id" in line}
    state = torch.load(folder / "cs_neigh.pth", weights_only=True)
    parts = find_parts(folder / "parts", class_name="disc")
    assert len(lines) == len(parts) == 12
    for part in parts:
        maps, score = published_scores(state, list(part.images.values()))
        with np.load(tmp_path / "maps" / part.part_id.replace("/", "_") / "maps.npz") as found:
            assert reference.deviation(found["maps"], maps) < 1e-5
        assert lines[part.part_id]["score_raw"] == pytest.approx(score, rel=1e-5)


def test_recipe_that_disagrees_with_the_checkpoint_is_named(folder: Path) -> None:
    recipe = folder / "other.yaml"
    recipe.write_text(RECIPE + "flow: {graph: cs_top, hidden: 8}\n")
    source = ModelSource(multiflow=folder / "cs_neigh.pth", recipe=load_recipe(recipe))
    with pytest.raises(ConfigError, match="disagrees") as caught:
        load_model(source)
    assert caught.value.problems == ("flow.graph: cs_top, the checkpoint has cs_neigh",)


def test_extractor_of_other_channels_is_named(folder: Path) -> None:
    recipe = folder / "narrow.yaml"
    recipe.write_text(RECIPE.replace("channels: 16", "channels: 8"))
    with pytest.raises(CheckpointError, match="for 16 channels, but the extractor gives 8"):
        load_model(ModelSource(multiflow=folder / "cs_neigh.pth", recipe=load_recipe(recipe)))


def test_attention_needs_its_graph_said(folder: Path) -> None:
    recipe = load_recipe(folder / "recipe.yaml")
    source = ModelSource(multiflow=folder / "cs_att_cross.pth", recipe=recipe)
    with pytest.raises(CheckpointError, match="do not tell"):
        load_model(source)
    told = ModelSource(multiflow=folder / "cs_att_cross.pth", recipe=recipe, graph="cs_att_self")
    assert load_model(told).recipe.flow.graph == "cs_att_self"


def test_file_in_the_wrong_slot_is_recognised(folder: Path, published: Path, tmp_path: Path) -> None:
    torch.save(reference.published_state(published, "mvanet"), tmp_path / "Model_80.pth")
    recipe = load_recipe(folder / "recipe.yaml")
    with pytest.raises(CheckpointError, match="this is an MVANet checkpoint"):
        load_model(ModelSource(multiflow=tmp_path / "Model_80.pth", recipe=recipe))


def test_what_is_missing_is_asked_for_by_its_option(folder: Path) -> None:
    with pytest.raises(UsageError, match="--calibration"):
        load_model(ModelSource(multiflow=folder / "cs_neigh.pth"))
    with pytest.raises(UsageError, match="--backbone"):
        load_model(ModelSource(multiflow=folder / "cs_neigh.pth", parts=folder / "parts"))
    with pytest.raises(UsageError, match="name one model"):
        load_model(ModelSource())


@pytest.mark.parametrize(("class_name", "mirror"), [("audiojack", "published"), ("disc", ())])
def test_real_iad_classes_are_mirrored_as_published(
    folder: Path, published: Path, tmp_path: Path, class_name: str, mirror: object
) -> None:
    torch.save(reference.published_state(published, "efficientnet_b5"), tmp_path / "b5.pth")
    source = ModelSource(
        multiflow=folder / "cs_neigh.pth",
        backbone=tmp_path / "b5.pth",
        parts=folder / "parts",
        class_name=class_name,
    )
    # The small flow does not fit EfficientNet-B5; what was made of the files is seen before that.
    with pytest.raises(CheckpointError, match="for 16 channels, but the extractor gives 304"):
        load_model(source)
    from edgeflow_export.checkpoints.official_model import OfficialFiles, _published_recipe

    files = OfficialFiles(multiflow=source.multiflow or Path(), backbone=source.backbone)
    assert _published_recipe(files, folder, class_name).data.mirror == mirror


def test_flow_for_other_views_than_the_parts_have_is_named(folder: Path, published: Path) -> None:
    torch.save(reference.published_state(published, "multiflow_small_cs_top"), folder / "five.pth")
    arguments = ["export", "--multiflow", str(folder / "five.pth"), "-o", str(folder / "five.bundle")]
    done = CliRunner().invoke(cli, [*arguments, "--recipe", str(folder / "recipe.yaml")])
    assert isinstance(done.exception, DataError)
    assert "the views C1, C2, C3, the model was trained on 5 views" in done.exception.message


def test_training_goes_on_from_an_official_flow(folder: Path, tmp_path: Path) -> None:
    document = yaml.safe_load(RECIPE)
    document["data"]["root"] = str(folder / "parts")
    document["flow"] = {"hidden": 8}
    document["training"] = {"epochs": 1, "batch": 2, "standardise": "none", "learning_rate": 1e-9}
    document["training"]["initial"] = str(folder / "cs_neigh.pth")
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(document))
    recipe = load_recipe(tmp_path / "recipe.yaml")
    trained = load_checkpoint(train(recipe, tmp_path, cache_dir=tmp_path / "cache", progress=False))
    state = torch.load(folder / "cs_neigh.pth", weights_only=True)
    expected = published_state(state, published_shape(state))
    for name, tensor in trained.module.flow.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=1e-6)
    wider = recipe.model_copy(update={"flow": recipe.flow.model_copy(update={"hidden": 16})})
    with pytest.raises(CheckpointError, match="another architecture") as caught:
        train(wider, tmp_path / "wider", cache_dir=tmp_path / "cache", progress=False)
    assert caught.value.problems == ("hidden: 8, the recipe needs 16",)
