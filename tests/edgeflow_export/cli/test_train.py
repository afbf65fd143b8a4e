"""``edgeflow train --graph``: one model per neighbour graph from the same features."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from edgeflow.cli.main import cli
from edgeflow.errors import ConfigError
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
