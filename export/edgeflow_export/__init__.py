"""The workstation: data to trained flow to verified bundle."""
