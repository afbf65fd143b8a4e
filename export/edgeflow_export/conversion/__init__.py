"""Conversion: a trained model to ONNX and OpenVINO graphs, in float or INT8.

In: a trained model and an ``ExportJob``. Out: candidate graphs.
Starts no threads. Read ``rewriting`` first, then ``candidate_graphs.py``.
"""
