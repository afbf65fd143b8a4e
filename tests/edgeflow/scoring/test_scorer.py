"""Preprocessing, graph and pooling in one place."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from edgeflow.backends.registry import make_runner
from edgeflow.bundles.bundle import Bundle
from edgeflow.contracts.datasets.find_parts import find_parts
from edgeflow.contracts.images import read_image
from edgeflow.contracts.manifest import Foreground, ViewSpec
from edgeflow.contracts.preprocess import blank_image
from edgeflow.contracts.scoring import Masks, part_score, standardise, view_scores
from edgeflow.errors import ConfigError, DataError
from edgeflow.scoring.loading import choose_graph, make_scorer
from edgeflow.scoring.scorer import Scorer
from tests.support.tiny import TinyProduct


def images(seed: int = 0) -> dict[str, npt.NDArray[np.uint8]]:
    rng = np.random.default_rng(seed)
    return {view: rng.integers(0, 255, (64, 64, 3), np.uint8) for view in ("C1", "C2", "C3")}


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_scores_are_the_pooled_maps_and_do_not_change_between_calls(tiny: TinyProduct, backend: str) -> None:
    with Bundle.open(tiny.bundle) as bundle:
        scorer = make_scorer(bundle, choose_graph(bundle, backend=backend, precision="fp32"))
        first = scorer.score(images())
        kept = first.maps.copy()
        scorer.score(images(1))
        again = scorer.score(images())
        scoring = bundle.manifest.scoring
    np.testing.assert_array_equal(first.maps, kept)  # no buffer of the back end is handed out
    np.testing.assert_array_equal(first.maps, again.maps)
    np.testing.assert_allclose(list(first.views.values()), view_scores(first.maps, scoring))
    assert first.part == pytest.approx(max(first.views.values()))


def test_views_are_taken_by_name_not_by_order(tiny: TinyProduct) -> None:
    with Bundle.open(tiny.bundle) as bundle:
        scorer = make_scorer(bundle, choose_graph(bundle, backend="openvino", precision="fp32"))
        seen = images()
        turned = dict(reversed(list(seen.items())))
        assert scorer.score(seen).views == scorer.score(turned).views


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_a_part_without_a_view_scores_as_it_did_at_calibration(tiny: TinyProduct, backend: str) -> None:
    seen = images()
    with Bundle.open(tiny.bundle) as bundle:
        scorer = make_scorer(bundle, choose_graph(bundle, backend=backend, precision="fp32"))
        blank = scorer.score({**seen, "C2": blank_image(64, 64)})
        partial = scorer.score({view: seen[view] for view in ("C3", "C1")})
        scoring = bundle.manifest.scoring
    assert list(partial.views) == ["C1", "C3"]
    assert partial.views == {view: blank.views[view] for view in ("C1", "C3")}
    kept = np.array(list(partial.views.values()), np.float32)
    assert partial.part == float(part_score(kept, scoring))
    np.testing.assert_array_equal(partial.inputs, blank.inputs)


def test_image_that_is_not_rgb_is_named_by_view(tiny: TinyProduct) -> None:
    with Bundle.open(tiny.bundle) as bundle:
        scorer = make_scorer(bundle, choose_graph(bundle, backend="openvino", precision="fp32"))
        bad = {**images(), "C2": np.zeros((64, 64), np.uint8)}
        with pytest.raises(DataError, match="view 'C2'"):
            scorer.score(bad)


def test_pixel_statistics_make_every_pixel_a_deviation_from_normal(tiny: TinyProduct) -> None:
    with Bundle.open(tiny.bundle) as bundle:
        statistics = bundle.statistics()
    assert statistics is not None
    np.testing.assert_allclose(standardise(statistics.mean, statistics), 0, atol=1e-6)
    np.testing.assert_allclose(standardise(statistics.mean + statistics.std, statistics), 1, atol=1e-4)


class Countdown:
    """A foreground that counts how often it is asked; the upper half of every view is foreground."""

    costly = True

    def __init__(self, map_size: tuple[int, int]) -> None:
        self.asked: list[str] = []
        self._mask = np.zeros(map_size, np.uint8)
        self._mask[: map_size[0] // 2] = 1

    def mask(self, view: ViewSpec, index: int, image: npt.NDArray[np.uint8]) -> Masks:  # noqa: ARG002 - all alike
        self.asked.append(view.id)
        return self._mask

    def close(self) -> None:
        """Nothing to release."""


def test_costly_masks_are_asked_for_only_where_they_can_change_the_verdict(tiny: TinyProduct) -> None:
    part = find_parts(tiny.parts, class_name="disc")[0]
    seen = {view: read_image(file) for view, file in part.images.items()}
    with Bundle.open(tiny.bundle) as bundle:
        graph = choose_graph(bundle, backend="openvino", precision="fp32")
        runner = make_runner(graph, bundle.read(graph.model), bundle.read(graph.weights or ""))
        foreground = Countdown((8, 8))
        manifest = bundle.manifest.model_copy(
            update={"foreground": Foreground(kind="fixed", masks="masks.npz")}
        )
        scorer = Scorer(manifest, runner, manifest.thresholds_of(graph), bundle.statistics(), foreground)
        normal = scorer.score(seen)
        assert (foreground.asked, normal.masked) == ([], ())
        some = scorer.score(seen, ask="some")
        assert len(foreground.asked) == 1
        whole = scorer.score(seen, ask="all")
    assert some.masked == whole.masked[:1]
    assert set(whole.masked) == set(seen)
    assert whole.part <= normal.part
    assert whole.masks is not None
    np.testing.assert_array_equal(whole.maps[:, 4:], 0)


def test_the_most_reduced_graph_is_taken_where_none_is_named(tiny: TinyProduct) -> None:
    with Bundle.open(tiny.bundle) as bundle:
        assert choose_graph(bundle, backend=None, precision=None).id == "openvino-int8"
        assert choose_graph(bundle, backend="onnxruntime", precision="auto").id == "onnxruntime-int8"
        with pytest.raises(ConfigError, match="no graph for onnxruntime in bf16; the bundle holds: openvino"):
            choose_graph(bundle, backend="onnxruntime", precision="bf16")
