"""``edgeflow train``: one model per neighbour graph, or both heads, from the same features."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from edgeflow.cli.main import cli
from edgeflow.errors import CheckpointError, ConfigError, DataError, UsageError
from edgeflow_export.checkpoints.checkpoint import load_checkpoint
from edgeflow_export.models.view_graph import GRAPHS
from tests.support.tiny import write_parts, write_recipe


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_parts(tmp_path / "parts", train=8, normal=1, defective=1)
    path = tmp_path / "recipe.yaml"
    write_recipe(path, tmp_path / "parts")
    content = yaml.safe_load(path.read_text())
    content["extractor"] = {"kind": "self_supervised", "channels": 8, "steps": 2, "batch": 2}
    content["training"]["epochs"] = 1
    path.write_text(yaml.safe_dump(content))
    return path


def train(recipe: Path, *graphs: str) -> object:
    arguments = ["train", str(recipe), "-o", str(recipe.parent / "out"), "--json", "--device", "cpu"]
    options = [text for graph in graphs for text in ("--graph", graph)]
    done = CliRunner().invoke(cli, [*arguments, *options], catch_exceptions=False, standalone_mode=False)
    return json.loads(done.stdout)


def test_every_graph_is_trained_once_on_one_extractor(recipe: Path) -> None:
    out = recipe.parent / "out"
    printed = train(recipe, "cs_top", "all")
    folders = [out / name for name in ("cs_top", *(graph for graph in GRAPHS if graph != "cs_top"))]
    assert printed == {"checkpoints": [str(folder / "checkpoint.safetensors") for folder in folders]}
    for folder in folders:
        model = load_checkpoint(folder / "checkpoint.safetensors")
        assert model.recipe.flow.graph == folder.name
    assert (out / "extractor.state").is_file()
    assert not list(out.glob("*/extractor.state"))


@pytest.mark.parametrize(
    ("graph", "reason"),
    [("cs_naive", "running output"), ("cs_neigh_random", "not recorded"), ("ring", "allowed: cs_neigh")],
)
def test_refused_graph_says_why(recipe: Path, graph: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        train(recipe, graph)
    recipe.write_text(recipe.read_text().replace("flow:", f"flow:\n  graph: {graph}"))
    with pytest.raises(ConfigError, match=reason):
        train(recipe)
    assert not (recipe.parent / "out").exists()


def run(recipe: Path, *options: str) -> str:
    arguments = ["train", str(recipe), "-o", str(recipe.parent / "out"), "--device", "cpu", *options]
    return CliRunner().invoke(cli, arguments, catch_exceptions=False, standalone_mode=False).stdout


def test_both_models_are_trained_on_the_same_features_and_compared(recipe: Path) -> None:
    out = recipe.parent / "out"
    found = json.loads(run(recipe, "--compare", "--json"))
    assert found["schema"] == "edgeflow/heads/1"
    assert (found["parts"], found["defective_parts"]) == (2, 1)
    checkpoints = [out / name / "checkpoint.safetensors" for name in ("multi_flow", "patch_memory")]
    assert [head["checkpoint"] for head in found["heads"]] == [str(path) for path in checkpoints]
    flow, memory = map(load_checkpoint, checkpoints)
    assert (flow.recipe.model, memory.recipe.model) == ("multi_flow", "patch_memory")
    for name, tensor in flow.module.extractor.state_dict().items():
        assert tensor.equal(memory.module.extractor.state_dict()[name])
    assert flow.module.feature_mean.equal(memory.module.feature_mean)
    assert memory.module.memory is not None
    kept = [path.read_bytes() for path in checkpoints]
    shown = run(recipe, "--compare")
    assert [path.read_bytes() for path in checkpoints] == kept
    assert "part AUROC, multi_flow less patch_memory: " in shown
    assert "fewer than 20 parts" in " ".join(shown.split())
    assert max(map(len, shown.partition("next:")[0].splitlines())) <= 80
    assert f"next: edgeflow export {out}" in shown


def test_comparison_needs_test_parts_and_one_graph(recipe: Path) -> None:
    with pytest.raises(UsageError, match=r"--compare trains both models on one neighbour graph"):
        run(recipe, "--compare", "--graph", "all")
    listed = recipe.parent / "parts" / "realiad_jsons" / "disc.json"
    document = json.loads(listed.read_text())
    document["test"] = [entry for entry in document["test"] if entry["anomaly_class"] == "OK"]
    listed.write_text(json.dumps(document))
    with pytest.raises(DataError, match="evaluation needs both"):
        run(recipe, "--compare")
    assert not (recipe.parent / "out").exists()


def test_patch_memory_repeats_to_the_byte_and_is_left_alone_by_the_flows_settings(recipe: Path) -> None:
    content = yaml.safe_load(recipe.read_text())
    content |= {"model": "patch_memory", "patch_memory": {"patches": 50}}
    recipe.write_text(yaml.safe_dump(content))
    checkpoint = recipe.parent / "out" / "checkpoint.safetensors"
    run(recipe)
    first = checkpoint.read_bytes()
    run(recipe, "--restart")
    assert checkpoint.read_bytes() == first
    model = load_checkpoint(checkpoint)
    assert model.module.memory is not None
    assert model.module.memory.bank.shape[1] == 50
    assert model.statistics is not None
    assert float(model.statistics.mean.min()) > 0  # by memories of other parts: one's own distances are 0
    content["training"]["epochs"] = 7
    recipe.write_text(yaml.safe_dump(content))
    run(recipe)
    assert load_checkpoint(checkpoint).recipe.training.epochs == 7
    content["patch_memory"] = {"patches": 60}
    recipe.write_text(yaml.safe_dump(content))
    with pytest.raises(CheckpointError, match="another recipe"):
        run(recipe)
