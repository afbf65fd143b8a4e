"""edgeflow: multi-camera anomaly detection on the factory line.

The names in ``__all__`` serve notebooks and scripts; each is imported when it is used, so that
``import edgeflow`` alone loads nothing. See ``docs/tutorials/python-api.md``.
"""

import sys

TYPE_CHECKING = False  # typing's own would be a module to load
if TYPE_CHECKING:
    from edgeflow.bundles.bundle import Bundle
    from edgeflow.config.box import BoxConfig, load_config
    from edgeflow.contracts.datasets.find_parts import find_parts
    from edgeflow.decision.recorded_parts import score_parts
    from edgeflow.scoring.loading import open_scorer
    from edgeflow.scoring.scorer import Scorer, Scores

__version__ = "0.1.0"
__all__ = [
    "BoxConfig",
    "Bundle",
    "Scorer",
    "Scores",
    "find_parts",
    "load_config",
    "open_scorer",
    "score_parts",
]

_HOMES = {
    "BoxConfig": "config.box",
    "Bundle": "bundles.bundle",
    "Scorer": "scoring.scorer",
    "Scores": "scoring.scorer",
    "find_parts": "contracts.datasets.find_parts",
    "load_config": "config.box",
    "open_scorer": "scoring.loading",
    "score_parts": "decision.recorded_parts",
}

# OpenVINO and NNCF send statistics to their makers through this package, from a process forked off this one,
# and do without it where it cannot be imported. A box connects only to the hosts that its box file names.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


def __getattr__(name: str) -> object:
    """Import a public name from its module when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'edgeflow' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - loaded with the first name

    return getattr(import_module(f"edgeflow.{_HOMES[name]}"), name)
