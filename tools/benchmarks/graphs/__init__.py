"""Benchmarks of graphs: forms of the rewritten flow, INT8 against the graph of before, growth with size."""
