"""edgeflow: multi-camera anomaly detection on the factory line."""

__version__ = "0.1.0"
