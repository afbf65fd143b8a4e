"""Images to anomaly maps, view scores and a part score, and the verification of a bundle."""
