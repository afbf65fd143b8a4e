"""Extractors: built from a recipe, frozen, checked, and told apart by their identity."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from edgeflow.errors import CheckpointError, ConfigError
from edgeflow_export.extractors import build_extractor, extractor_identity, normalised, output_shape
from edgeflow_export.recipe import FunctionExtractor, SelfSupervisedExtractor, TimmExtractor

COMPACT = SelfSupervisedExtractor(kind="self_supervised", channels=12)
SMALL = "test_resnet"

CODE = """
import torch
def conv(channels: int = 4):
    return torch.nn.Conv2d(3, channels, 3, stride=4, padding=1)
def number():
    return 7
"""


def function(target: str, **arguments: int) -> FunctionExtractor:
    return FunctionExtractor(kind="function", target=target, arguments=dict(arguments))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own_extractor.py").write_text(CODE)
    sys.modules.pop("own_extractor", None)
    return tmp_path


def test_self_supervised_extractor_is_small_and_frozen() -> None:
    extractor = build_extractor(
        SelfSupervisedExtractor(kind="self_supervised", channels=64), pretrained=False
    )
    assert output_shape(extractor, 256, 256) == (64, 32, 32)
    assert sum(p.numel() for p in extractor.parameters()) < 350_000
    assert not extractor.training
    assert not any(p.requires_grad for p in extractor.parameters())


def test_self_supervised_extractor_takes_sizes_that_are_no_multiple_of_its_stride() -> None:
    extractor = build_extractor(COMPACT, pretrained=False)
    assert output_shape(extractor, 100, 72) == (12, 13, 9)


def test_function_is_found_in_the_search_path_and_gets_its_arguments(folder: Path) -> None:
    extractor = build_extractor(
        function("own_extractor:conv", channels=6), pretrained=True, search_path=(folder,)
    )
    assert output_shape(extractor, 32, 32) == (6, 8, 8)
    assert str(folder) not in sys.path


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (function("no_such_module_here:conv"), "no module 'no_such_module_here'"),
        (function("own_extractor:absent"), "absent"),
        (function("own_extractor:conv", width=3), "extractor.arguments"),
        (function("own_extractor:number"), "must return a torch module"),
    ],
)
def test_unusable_function_is_refused(folder: Path, spec: FunctionExtractor, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build_extractor(spec, pretrained=True, search_path=(folder,))


def test_odd_number_of_channels_is_refused_with_advice(folder: Path) -> None:
    extractor = build_extractor(
        function("own_extractor:conv", channels=5), pretrained=True, search_path=(folder,)
    )
    with pytest.raises(ConfigError, match=r"5 channels.*choose another layer"):
        output_shape(extractor, 32, 32)


def test_output_that_is_no_feature_map_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"feature map.*\(1, 12288\)"):
        output_shape(nn.Flatten(), 64, 64)


def test_timm_layer_is_chosen_checked_and_loaded(tmp_path: Path) -> None:
    spec = TimmExtractor(kind="timm", model=SMALL, layer=-2)
    extractor = build_extractor(spec, pretrained=False)
    channels, height, width = output_shape(extractor, 64, 64)
    assert channels % 2 == 0
    assert height == width < 32
    with pytest.raises(ConfigError, match=r"extractor.layer: test_resnet has layers 0\.\."):
        build_extractor(spec.model_copy(update={"layer": 9}), pretrained=False)
    with pytest.raises(ConfigError, match="timm has no 'test_rexnet'"):
        build_extractor(spec.model_copy(update={"model": "test_rexnet"}), pretrained=False)

    state = {
        name.removeprefix("model."): torch.ones_like(tensor)
        for name, tensor in extractor.state_dict().items()
    }
    path = tmp_path / "weights.safetensors"
    save_file(state, path)
    loaded = build_extractor(spec.model_copy(update={"weights": path}), pretrained=True)
    assert all(float(p.min()) == 1 for p in loaded.parameters())

    dropped = min(state)
    del state[dropped]
    save_file(state, path)
    with pytest.raises(CheckpointError, match=f"missing: {dropped}"):
        build_extractor(spec.model_copy(update={"weights": path}), pretrained=True)


def test_identity_follows_weights_and_description() -> None:
    one, two = (build_extractor(COMPACT, pretrained=False) for _ in range(2))
    two.load_state_dict(one.state_dict())
    assert extractor_identity(one, COMPACT) == extractor_identity(two, COMPACT)
    with torch.no_grad():
        next(iter(two.parameters())).flatten()[0] += 1e-3
    assert extractor_identity(one, COMPACT) != extractor_identity(two, COMPACT)


def test_identity_of_a_function_follows_its_code(folder: Path) -> None:
    spec = function("own_extractor:conv")
    extractor = build_extractor(spec, pretrained=True, search_path=(folder,))
    before = extractor_identity(extractor, spec)
    assert extractor_identity(extractor, spec) == before
    with (folder / "own_extractor.py").open("a") as file:
        file.write("\nCHANGED = True\n")
    assert extractor_identity(extractor, spec) != before


def test_normalisation_is_that_of_imagenet() -> None:
    images = torch.from_numpy(np.full((1, 2, 2, 3), 255, np.uint8))
    expected = torch.tensor([(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225])
    assert torch.allclose(normalised(images)[0, :, 0, 0], expected)
