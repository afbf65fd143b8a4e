"""Quantization: the INT8 graph of one back end that holds the recipe's budgets.

In: a graph source and the fp32 reference. Out: a reduced graph with its accuracy report, or none.
Starts no threads. Read ``search.py`` first.
"""
