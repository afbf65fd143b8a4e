"""A candidate bundle, opened, checked against its box, verified, and asked for its verdict on parts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType

import numpy as np

from edgeflow.backends.runner import Placement
from edgeflow.bundles.bundle import Bundle
from edgeflow.bundles.trust import open_admitted
from edgeflow.config.box import BoxConfig
from edgeflow.config.camera_views import check_views
from edgeflow.config.products.resolve import only_product, product_config
from edgeflow.contracts.images import RgbImage
from edgeflow.contracts.manifest import Graph
from edgeflow.contracts.scoring import scaled
from edgeflow.decision.decision import judge_scores
from edgeflow.errors import DeviceError, EdgeflowError, IntegrityError, ParityError
from edgeflow.scoring.graph_order import graph_order
from edgeflow.scoring.loading import make_scorer
from edgeflow.scoring.scorer import Scorer, Scores
from edgeflow.scoring.verification import verify_scorer
from edgeflow.shadow.comparison import Judged

__all__ = ["Candidate"]


class Candidate:
    """A verified candidate; use it as a context.

    Args:
        config: of the box, or of the product that the candidate is for; ``bundle`` is not looked at.
        device: where it runs.
        now: aware, UTC.
        running_name: name of the bundle that inspects; the candidate bears the same.

    Raises:
        UsageError, ConfigError: no such bundle; its views or graphs do not fit the box file.
        IntegrityError: damaged, not signed by a trusted key, of another product, or not for this box now.
        ParityError, DeviceError: no graph of it verifies here.
    """

    def __init__(
        self, config: BoxConfig, *, device: str, now: datetime, running_name: str | None = None
    ) -> None:
        shadow = config.shadow
        if shadow is None:
            raise ValueError("no section shadow")
        product = only_product(config)
        trust = config.trust and config.trust.model_copy(update={"allow_older": True})  # it decides nothing
        self.bundle = open_admitted(shadow.bundle, trust, now, product)
        try:
            manifest = self.bundle.manifest
            _require_product(shadow.bundle, manifest.name, running_name)
            own = config if product is None else product_config(config, product, manifest.view_ids)
            check_views(own, manifest.view_ids)
            self.graph, self._scorer = self._verified(self.bundle, config, device)
        except BaseException:
            self.bundle.close()
            raise
        self.thresholds = self._scorer.thresholds

    def __enter__(self) -> Candidate:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._scorer.close()
        self.bundle.close()

    def judge(self, images: Mapping[str, RgbImage]) -> tuple[Judged, float | None, str, Scores]:
        """Return the judgement of a part, its score (1.0 is the threshold), its reason, and all scores.

        Raises:
            DataError, DeviceError: it cannot be scored.
        """
        scores = self._scorer.score(images, ask="needed")
        verdict, reason = judge_scores(scores, self.thresholds)
        finite = bool(np.isfinite(scores.part))
        judged = Judged(
            verdict=verdict,
            score_raw=scores.part if finite else None,
            threshold=self.thresholds.part.threshold,
            tolerance=self.graph.tolerance,
        )
        return judged, scaled(scores.part, self.thresholds.part) if finite else None, reason, scores

    @staticmethod
    def _verified(bundle: Bundle, config: BoxConfig, device: str) -> tuple[Graph, Scorer]:
        """The first graph, in the box's order, that reproduces the golden parts here."""
        errors: list[EdgeflowError] = []
        for graph in graph_order(bundle, config).graphs:
            scorer = None
            try:
                scorer = make_scorer(bundle, graph, placement=Placement(device=device, threads=1))
                verify_scorer(bundle, graph, scorer, ask="some")
            except (ParityError, DeviceError) as error:
                errors.append(error)
                if scorer is not None:
                    scorer.close()
            else:
                return graph, scorer
        raise errors[0]


def _require_product(path: Path, name: str, running: str | None) -> None:
    if running not in (None, name):
        raise IntegrityError(
            f"{path}: of product '{name}', the box inspects '{running}'; give shadow.bundle a bundle of this "
            "product"
        )
