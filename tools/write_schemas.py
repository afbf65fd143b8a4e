"""Write the messages' JSON Schemas into the package, from the models that define them."""

from __future__ import annotations

import json
from pathlib import Path

import edgeflow.contracts
from edgeflow.contracts.messages import MESSAGES, json_schema

if __name__ == "__main__":
    folder = Path(edgeflow.contracts.__file__).parent / "schemas"
    folder.mkdir(exist_ok=True)
    for name in MESSAGES:
        (folder / f"{name}.json").write_text(json.dumps(json_schema(name), indent=2) + "\n", encoding="utf-8")
        print(folder / f"{name}.json")
