"""Networks that were trained elsewhere: a file in ONNX becomes a graph like the ones of our own models.

In: an ONNX file, or the folder of an anomalib export, and a recipe with a section ``network``. Out: an
``ImportedModel``, which the export takes in place of a ``TrainedModel``: it writes a graph from uint8 images
of all views to maps of all views, and computes what the file itself gives for comparison. Nothing in the
file is trusted or run before it was looked at. It starts no threads. Read ``imported_model.py`` first.
"""
