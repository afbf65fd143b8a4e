"""Rewriting: a trained model in its form for inference, by exact algebra: same numbers, fewer operations.

In: a trained ``InspectionModel``. Out: an ``InferenceModel``, which is exported to ONNX.
Maps of all views lie side by side along the channels and are stored channels-last throughout.
Read ``inference_model.py`` first, then ``flow.py``; ``forms.py`` is the rule that chooses between forms.
"""

from edgeflow_export.conversion.rewriting.forms import GraphForms
from edgeflow_export.conversion.rewriting.inference_model import InferenceModel, rewrite

__all__ = ["GraphForms", "InferenceModel", "rewrite"]
