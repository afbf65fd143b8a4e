"""Torch modules to ONNX, OpenVINO IR and INT8 graphs."""
