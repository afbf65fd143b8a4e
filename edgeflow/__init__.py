"""edgeflow: multi-camera anomaly detection on the factory line."""

import sys

__version__ = "0.1.0"

# OpenVINO and NNCF send statistics to their makers through this package, from a process forked off this one,
# and do without it where it cannot be imported. A box talks to nobody whom it was not told of.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
