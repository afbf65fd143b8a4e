"""The recipes that ship: complete, ordered by cost, and right in what their comments offer instead."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
import yaml

from edgeflow.contracts.documents.document import parse_document
from edgeflow.errors import ConfigError
from edgeflow_export.checkpoints.checkpoint import flow_shape
from edgeflow_export.features.extractors import build_extractor, output_shape
from edgeflow_export.models.multiflow import MultiFlow
from edgeflow_export.recipe import ImportRecipe, Recipe, TimmExtractor, load_recipe

FOLDER = Path(__file__).resolve().parents[3] / "export" / "recipes"
BY_COST = ("fast", "balanced", "full")


def with_offers(path: Path, target: Path) -> Recipe:
    """A recipe with what its comments offer in place of its own lines."""
    text = path.read_text("utf-8")
    document = yaml.safe_load(text)
    for line in text.splitlines():
        offer = line.removeprefix("# ")
        if offer.partition(":")[0] in document and line.startswith("# "):
            document |= yaml.safe_load(offer)
    target.write_text(yaml.safe_dump(document), "utf-8")
    return load_recipe(target)


def test_every_recipe_loads_and_names_its_product_differently() -> None:
    recipes = [load_recipe(path) for path in sorted(FOLDER.glob("*.yaml"))]
    assert len({recipe.name for recipe in recipes}) == len(recipes) >= 3


def test_recipes_by_cost_have_ever_larger_flows_and_a_foreground_for_free() -> None:
    sizes = []
    for name in BY_COST:
        recipe = load_recipe(FOLDER / f"{name}.yaml")
        channels, _, _ = output_shape(build_extractor(recipe.extractor, pretrained=False), 256, 256)
        flow = MultiFlow(flow_shape(recipe, channels, 5))
        sizes.append(sum(parameter.numel() for parameter in flow.parameters()))
        assert recipe.foreground.kind == "distilled"
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("name", ["fast", "balanced"])
def test_pretrained_extractor_from_a_local_file_takes_the_trained_ones_place(
    name: str, tmp_path: Path
) -> None:
    recipe = with_offers(FOLDER / f"{name}.yaml", tmp_path / "recipe.yaml")
    spec = recipe.extractor
    assert isinstance(spec, TimmExtractor)
    assert spec.weights is not None
    weights = tmp_path / "weights.pth"
    torch.save(timm.create_model(spec.model, pretrained=False).state_dict(), weights)
    built = build_extractor(spec.model_copy(update={"weights": weights}), pretrained=True)
    assert output_shape(built, recipe.image.height, recipe.image.width)[1:] == (16, 16)


def test_full_recipe_offers_the_published_sizes(tmp_path: Path) -> None:
    recipe = with_offers(FOLDER / "full.yaml", tmp_path / "recipe.yaml")
    assert (recipe.image.height, recipe.extractor.kind) == (768, "efficientnet_b5")
    assert (recipe.flow.hidden, recipe.flow.kernels) == (64, (3, 3, 3, 3, 3, 5))


@pytest.mark.parametrize(
    ("top_k", "told"),
    [
        (0, "expected a number greater than 0, got 0"),
        (1.0, "expected a whole number or a number less than 1, got 1.0"),
        (None, "view: top_k needs top_k, such as 0.02; or set view: max or mean"),
    ],
)
def test_a_useless_top_k_is_refused_in_words(top_k: float | None, told: str, tmp_path: Path) -> None:
    document = yaml.safe_load((FOLDER / "fast.yaml").read_text("utf-8"))
    document["scoring"] = {"view": "top_k", "top_k": top_k}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(document), "utf-8")
    with pytest.raises(ConfigError) as caught:
        load_recipe(tmp_path / "recipe.yaml")
    assert told in "\n".join(caught.value.problems)


def test_a_network_from_elsewhere_is_not_given_tiles() -> None:
    document = {
        "name": "part",
        "data": {"root": "parts"},
        "network": {"file": "network.onnx"},
        "image": {"height": 64, "width": 64, "tiles": {"height": 32, "width": 32}},
    }
    with pytest.raises(ConfigError) as refused:
        parse_document(ImportRecipe, document, what="recipe", error=ConfigError)
    assert "image.tiles: a network from elsewhere sees its whole image" in "; ".join(refused.value.problems)
