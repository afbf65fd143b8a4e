"""Weights rounded so that a convolution's output moves least on its own inputs.

In: weights in float, and what arrives at each convolution from normal parts. Out: integers and scales. Starts
no threads. Read ``second_order.py`` first; ``input_moments.py`` gathers what it needs to know of inputs.
"""
