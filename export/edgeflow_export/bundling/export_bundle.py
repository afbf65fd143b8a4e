"""A checkpoint to a verified bundle in one call, for notebooks and scripts."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from edgeflow.files import require_new
from edgeflow_export.bundling.build import build_bundle
from edgeflow_export.bundling.release import Built, Release
from edgeflow_export.checkpoints.model_source import ModelSource, load_model, with_views
from edgeflow_export.data.dataset import load_dataset

__all__ = ["export_bundle"]


def export_bundle(
    checkpoint: Path, output: Path, *, release: Release | None = None, device: str = "cpu"
) -> Built:
    """Export a checkpoint by its own recipe, without progress output.

    Args:
        output: the bundle file to write; one that exists is never replaced.
        release: version, device class, expiry and signer; default: version 0, for any box, unsigned.
        device: torch device that computes the foreground masks of the parts.

    Raises:
        UsageError: the checkpoint cannot be read, or the bundle file exists.
        EdgeflowError: as :func:`~edgeflow_export.bundling.build.build_bundle`.
    """
    require_new(output)
    model = load_model(ModelSource(checkpoint=checkpoint))
    data = load_dataset(model.recipe)
    model = with_views(model, data)
    return build_bundle(model, data, output, lambda _name: nullcontext(), device=device, release=release)
