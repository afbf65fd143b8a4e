"""ONNX Runtime: one compiled graph on one device."""
