"""The workstation: recorded parts to a trained flow to a verified bundle.

The names in ``__all__`` serve notebooks and scripts; each is imported when it is used, since torch takes
seconds to load. See ``docs/tutorials/python-api.md``.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edgeflow_export.bundling.export_bundle import export_bundle
    from edgeflow_export.evaluation.evaluate import evaluate
    from edgeflow_export.recipe.recipe import Recipe, load_recipe
    from edgeflow_export.training.train import train

__all__ = ["Recipe", "evaluate", "export_bundle", "load_recipe", "train"]

_HOMES = {
    "Recipe": "recipe.recipe",
    "evaluate": "evaluation.evaluate",
    "export_bundle": "bundling.export_bundle",
    "load_recipe": "recipe.recipe",
    "train": "training.train",
}


def __getattr__(name: str) -> object:
    """Import a public name from its module when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'edgeflow_export' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - loaded with the first name

    return getattr(import_module(f"edgeflow_export.{_HOMES[name]}"), name)
