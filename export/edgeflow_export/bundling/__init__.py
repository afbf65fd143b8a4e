"""Bundling: a trained model to a bundle file, or to one of its graphs alone.

In: a trained model and a dataset. Out: a bundle whose golden parts were replayed from the file.
Starts no threads. Read ``build.py`` first.
"""
