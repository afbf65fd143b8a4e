"""Extractors: built from a recipe, frozen, checked, and told apart by their identity."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from edgeflow.errors import CheckpointError, ConfigError
from edgeflow_export.features.extractors import build_extractor, extractor_identity, normalised, output_shape
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


def test_stride_4_gives_maps_twice_as_fine_and_stride_8_is_written_as_ever() -> None:
    fine = SelfSupervisedExtractor(kind="self_supervised", channels=12, stride=4)
    assert output_shape(build_extractor(fine, pretrained=False), 96, 64) == (12, 24, 16)
    assert fine.model_dump(mode="json")["stride"] == 4
    assert "stride" not in COMPACT.model_dump_json()
    assert SelfSupervisedExtractor.model_validate(fine.model_dump()) == fine


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


def whole_state(model: str) -> dict[str, torch.Tensor]:
    """Weights of a whole timm model, every tensor another random one."""
    import timm

    torch.manual_seed(7)
    state = timm.create_model(model, pretrained=False).state_dict()
    return {name: torch.rand_like(t) if t.is_floating_point() else t for name, t in state.items()}


def test_two_timm_layers_lie_one_after_the_other_at_the_finer_ones_size() -> None:
    fine, coarse = (TimmExtractor(kind="timm", model=SMALL, layer=layer) for layer in (1, 2))
    both = TimmExtractor(kind="timm", model=SMALL, layer=(2, 1))
    images = torch.randn(2, 3, 70, 96)  # 70 rows are halved to an odd number
    parts = []
    for spec in (fine, coarse, both):
        torch.manual_seed(0)
        parts.append(build_extractor(spec, pretrained=False))
    # The same weights: the network of both layers is that of the coarser one.
    parts[0].load_state_dict(
        {name: tensor for name, tensor in parts[2].state_dict().items() if name in parts[0].state_dict()}
    )
    parts[1].load_state_dict(parts[2].state_dict())
    with torch.inference_mode():
        first, second, found = (part(images) for part in parts)
    channels = first.shape[1]
    torch.testing.assert_close(found[:, :channels], first)
    rows, columns = found.shape[2:]
    assert (rows, columns) == first.shape[2:]
    assert found.shape[1] == channels + second.shape[1]
    # A cell of the coarse map lies midway between those of the fine one that it covers.
    inner = found[:, channels:, 2 : rows - 2, 2 : columns - 2]
    centre = F.avg_pool2d(inner[..., : inner.shape[2] // 2 * 2, : inner.shape[3] // 2 * 2], 2)
    torch.testing.assert_close(
        centre, _between(second)[..., : centre.shape[2], : centre.shape[3]], rtol=1e-4, atol=1e-5
    )


def _between(coarse: Tensor) -> Tensor:
    """Mean of the four bilinear values inside each cell but the outermost."""
    kernel = torch.tensor([0.125, 0.75, 0.125])
    weights = (kernel[:, None] * kernel).expand(coarse.shape[1], 1, 3, 3)
    return F.conv2d(coarse, weights.contiguous(), groups=coarse.shape[1])


def test_the_same_timm_layer_twice_is_refused() -> None:
    spec = TimmExtractor(kind="timm", model=SMALL, layer=(-1, -1))
    with pytest.raises(ConfigError, match="name one, or two different ones"):
        build_extractor(spec, pretrained=False)


TINY_MODELS = ["test_resnet", "test_convnext", "test_vit", "test_efficientnet"]


def features_of(model: str, state: dict[str, torch.Tensor], side: int) -> torch.Tensor:
    """Of the last layer, by timm alone; the model's own normalisation included."""
    import timm

    whole = timm.create_model(model, pretrained=False)
    whole.load_state_dict(state)
    config = timm.get_pretrained_cfg(model)
    pixels = torch.rand((1, 3, side, side), generator=torch.manual_seed(1))
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (config.mean, config.std))
    with torch.inference_mode():
        found = whole.eval().forward_intermediates((pixels - mean) / std, indices=1, intermediates_only=True)
    return found[-1]


def ours(model: str, file: Path, side: int) -> torch.Tensor:
    spec = TimmExtractor(kind="timm", model=model, layer=-1, weights=file)
    extractor = build_extractor(spec, pretrained=True)
    pixels = torch.rand((1, 3, side, side), generator=torch.manual_seed(1))
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.inference_mode():
        return extractor((pixels - mean) / std)


@pytest.mark.parametrize("model", TINY_MODELS)
def test_weight_files_of_whole_models_give_the_features_of_timm_itself(model: str, tmp_path: Path) -> None:
    import timm

    side = timm.get_pretrained_cfg(model).input_size[-1]
    state = whole_state(model)
    expected = features_of(model, state, side)
    save_file(state, tmp_path / "plain.safetensors")
    torch.save({"epoch": 1, "state_dict": state}, tmp_path / "wrapped.pth")
    torch.save({f"module.{name}": tensor for name, tensor in state.items()}, tmp_path / "parallel.pth")
    torch.save({"model": {f"model.{name}": t for name, t in state.items()}}, tmp_path / "both.pth")
    for file in ("plain.safetensors", "wrapped.pth", "parallel.pth", "both.pth"):
        assert torch.allclose(ours(model, tmp_path / file, side), expected, rtol=1e-4, atol=1e-5), file


@pytest.mark.parametrize("model", TINY_MODELS)
def test_a_file_is_compared_on_the_whole_model(model: str, tmp_path: Path) -> None:
    spec = TimmExtractor(kind="timm", model=model, layer=0, weights=tmp_path / "a.safetensors")
    state = whole_state(model)
    last = [n for n in state if n.startswith(("blocks", "layer", "stages")) and not n.endswith("tracked")][-1]
    reshaped = {**state, last: torch.zeros(3, 3, 3)}
    for changed, words in (
        ({name: t for name, t in state.items() if name != last}, f"missing: {last}"),
        ({**state, "odd.weight": torch.zeros(1)}, "not used: odd.weight"),
        (reshaped, rf"{last}: shape \(3, 3, 3\), needed"),
    ):
        save_file(changed, tmp_path / "a.safetensors")
        with pytest.raises(CheckpointError, match=f"(?s)does not fit {model}.*{words}"):
            build_extractor(spec, pretrained=True)


def test_another_number_of_classes_is_no_mistake(tmp_path: Path) -> None:
    state = whole_state(SMALL)
    state |= {"fc.weight": state["fc.weight"][:7], "fc.bias": state["fc.bias"][:7]}
    save_file(state, tmp_path / "a.safetensors")
    spec = TimmExtractor(kind="timm", model=SMALL, layer=-2, weights=tmp_path / "a.safetensors")
    build_extractor(spec, pretrained=True)
    save_file({n: t for n, t in state.items() if not n.startswith("fc.")}, tmp_path / "a.safetensors")
    build_extractor(spec, pretrained=True)


def published_name(name: str, counts: list[int]) -> str:
    """efficientnet_pytorch's name of a tensor of timm, by its own table."""
    ends = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1"}
    plain = ("conv_dw _depthwise_conv", "bn1 _bn1", "conv_pw _project_conv", "bn2 _bn2")
    wide = ("conv_pw _expand_conv", "bn1 _bn0", "conv_dw _depthwise_conv", "bn2 _bn1")
    wide = (*wide, "conv_pwl _project_conv", "bn3 _bn2")
    squeeze = ("se.conv_reduce _se_reduce", "se.conv_expand _se_expand")
    first, *rest = name.split(".")
    if first == "classifier":
        return f"_fc.{rest[0]}"
    if first != "blocks":
        return ".".join([ends[first], *rest])
    stage, block = int(rest[0]), int(rest[1])
    table = dict(entry.split() for entry in (*(plain if stage == 0 else wide), *squeeze))
    return f"_blocks.{sum(counts[:stage]) + block}.{table['.'.join(rest[2:-1])]}.{rest[-1]}"


def test_a_file_with_names_of_efficientnet_pytorch_is_recognised(tmp_path: Path) -> None:
    import timm

    model = "tf_efficientnet_b0"
    counts = [len(stage) for stage in timm.create_model(model, pretrained=False).blocks]
    state = whole_state(model)
    named = {published_name(name, counts): tensor for name, tensor in state.items()}
    assert "_conv_stem.weight" in named
    torch.save(named, tmp_path / "renamed.bin")
    assert torch.allclose(
        ours(model, tmp_path / "renamed.bin", 64), features_of(model, state, 64), rtol=1e-3, atol=1e-4
    )
    spec = TimmExtractor(kind="timm", model=SMALL, layer=0, weights=tmp_path / "renamed.bin")
    with pytest.raises(CheckpointError, match="names of efficientnet_pytorch, which fit the models tf_eff"):
        build_extractor(spec, pretrained=True)


def test_an_image_size_that_a_model_does_not_take_is_told() -> None:
    extractor = build_extractor(
        TimmExtractor(kind="timm", model="vit_tiny_patch16_224", layer=-1), pretrained=False
    )
    with pytest.raises(ConfigError, match=r"does not take images of 64x64.*set image.height"):
        output_shape(extractor, 64, 64)


def test_a_missing_network_is_told_at_once(tmp_path: Path) -> None:
    code = (
        "from edgeflow_export.features.extractors import build_extractor\n"
        "from edgeflow_export.recipe import TimmExtractor\n"
        "from edgeflow.errors import ConfigError\n"
        "try:\n"
        "    build_extractor(TimmExtractor(kind='timm', model='test_resnet', layer=-1), pretrained=True)\n"
        "except ConfigError as error:\n"
        "    print(error)\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = f"http://127.0.0.1:{server.getsockname()[1]}"
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environment |= {"HF_ENDPOINT": closed, "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "are not on this machine and cannot be fetched from 127.0.0.1: Connection refused" in done.stdout
    assert "name the file as extractor.weights" in done.stdout
    assert "Retry" not in done.stderr


@pytest.mark.parametrize("offline", ["1", "true"])
def test_a_machine_that_is_told_to_stay_offline_does(offline: str, tmp_path: Path) -> None:
    code = (
        "import timm\nfrom edgeflow_export.features.timm_download import require_reachable\n"
        "try:\n    require_reachable('test_resnet', timm.get_pretrained_cfg('test_resnet'))\n"
        "except Exception as error:\n    print(error)\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": offline, "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "HF_HUB_OFFLINE is set" in done.stdout


def test_weights_that_were_fetched_before_need_no_network(tmp_path: Path) -> None:
    code = (
        "import timm\nfrom edgeflow_export.features.timm_download import cached_weights\n"
        "print(cached_weights(timm.get_pretrained_cfg('test_resnet')))\n"
    )
    repository = tmp_path / "hub" / "models--timm--test_resnet.r160_in1k"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    file = repository / "snapshots" / "abc" / "model.safetensors"
    file.parent.mkdir(parents=True)
    save_file(whole_state(SMALL), file)
    environment = {**os.environ, "HF_HOME": str(tmp_path)}
    environment.pop("HF_HUB_CACHE", None)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout.strip() == str(file)


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
