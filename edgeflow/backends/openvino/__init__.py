"""OpenVINO: one compiled graph on one device."""
