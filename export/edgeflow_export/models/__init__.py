"""The networks, as published: no training, no files.

In: tensors. Out: tensors. Read ``multiflow.py`` (arXiv 2504.03306) and ``mvanet.py`` (arXiv 2404.07445)
first; ``published_*.py`` read the authors' checkpoints.
"""
