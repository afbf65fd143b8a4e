"""Cameras, boxes and bundles without hardware, for benchmarks, faults and tests."""
