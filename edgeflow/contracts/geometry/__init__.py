"""Geometry of views: from a camera's image to the model's image, and back.

In: the geometry that a recipe or a manifest describes, and images or masks. Out: what the network sees, and
boxes and maps on the camera's image. Starts no threads. Read ``view_spec.py`` first, then
``view_geometry.py``.
"""
