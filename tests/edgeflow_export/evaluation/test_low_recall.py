"""A model that lets defective parts pass: refused, or written and called what it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from edgeflow.bundles.bundle import Bundle
from edgeflow.calibration.detection_rates import recall
from edgeflow.cli.main import cli
from edgeflow.contracts.manifest import REPORT_NAME
from edgeflow.errors import AccuracyError
from edgeflow_export.bundling.build import build_bundle
from edgeflow_export.checkpoints.checkpoint import TrainedModel, load_checkpoint
from edgeflow_export.data.dataset import Dataset, load_dataset
from edgeflow_export.recipe import ExportSpec
from tests.support import tiny as product
from tests.support.tiny import TinyProduct


@contextmanager
def silent(_name: str) -> Iterator[None]:
    yield


@pytest.fixture
def blind(tiny: TinyProduct) -> tuple[TrainedModel, Dataset]:
    """The tiny model, shown parts without any visible defect that are labelled as defective."""
    with product.tests_on_path():
        model = load_checkpoint(tiny.checkpoint)
    data = load_dataset(model.recipe)
    hidden = [replace(part, label="inside") for part in data.training[:10]]
    normal = [part for part in data.test if not part.defective]
    spec = ExportSpec(backends=("openvino",), precisions=("fp32",))
    recipe = model.recipe.model_copy(update={"export": spec})
    return replace(model, recipe=recipe), replace(data, test=(*normal, *hidden))


def test_useless_model_is_refused_with_the_count_and_nothing_is_written(
    blind: tuple[TrainedModel, Dataset], tmp_path: Path
) -> None:
    with pytest.raises(AccuracyError, match=r"rejects only \d of 10 .*--accept-low-recall") as caught:
        build_bundle(*blind, tmp_path / "disc.bundle", silent)
    assert caught.value.exit_code == 4
    assert not list(tmp_path.iterdir())


def test_useless_bundle_that_was_accepted_is_red_wherever_it_is_looked_at(
    blind: tuple[TrainedModel, Dataset], tmp_path: Path
) -> None:
    path = tmp_path / "disc.bundle"
    built = build_bundle(*blind, path, silent, accept_low_recall=True)
    found = recall(built.manifest.reference_thresholds)
    assert found is not None
    assert found.upper < 0.5
    with Bundle.open(path) as bundle:
        page = bundle.read(REPORT_NAME).decode()
    assert f"it rejects only {found} of the labelled defective parts" in page
    assert 'class="ok"' not in page
    shown = CliRunner().invoke(cli, ["inspect", str(path)])
    assert shown.exit_code == 0
    assert f"warning: it rejects only {found}" in shown.output
    assert f"recall: {found}; false rejects: " in shown.output


def test_recipe_says_how_low_is_too_low(blind: tuple[TrainedModel, Dataset], tmp_path: Path) -> None:
    model, data = blind
    spec = model.recipe.export.model_copy(update={"min_recall": 0.0})
    lenient = replace(model, recipe=model.recipe.model_copy(update={"export": spec}))
    assert build_bundle(lenient, data, tmp_path / "disc.bundle", silent).path.exists()
