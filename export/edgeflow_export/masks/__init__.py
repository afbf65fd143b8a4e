"""Foreground masks of parts while training and measuring: teachers, their cache, the distilled head.

In: the recipe's section ``foreground`` and images. Out: masks on disk, and a trained head. Read
``teachers.py`` first, then ``distillation.py``.
"""
