"""The command line: each command parses its options, calls one function and prints the answer."""

from edgeflow.cli.main import main

__all__ = ["main"]
