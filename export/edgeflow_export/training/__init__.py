"""Training: the flow, on cached features of normal parts.

In: a recipe. Out: a checkpoint, and a history of epochs. Read ``train.py`` first, then ``flow.py``.
"""
