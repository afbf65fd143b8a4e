"""Copy a few held-out test parts of a Real-IAD folder into a smaller one, normal and defective mixed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import click
import numpy as np


@click.command()
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--normal", type=int, required=True)
@click.option("--defective", type=int, required=True)
@click.option("--seed", type=int, default=1, show_default=True)
def main(source: Path, target: Path, normal: int, defective: int, seed: int) -> None:
    """Replace TARGET by parts of SOURCE's test split; every kind of defect is taken in turn."""
    (description,) = (source / "realiad_jsons").glob("*.json")
    document = json.loads(description.read_bytes())
    prefix = document["meta"]["prefix"]
    parts: dict[str, list[dict[str, Any]]] = {}
    for entry in document["test"]:
        parts.setdefault(str(Path(entry["image_path"]).parent), []).append(entry)
    kinds: dict[str, list[str]] = {}
    for name in parts:
        kinds.setdefault(name.split("/")[0], []).append(name)
    good = kinds.pop(document["meta"]["normal_class"])[:normal]
    bad: list[str] = []
    for rank in range(max(map(len, kinds.values()))):
        bad += [kinds[kind][rank] for kind in sorted(kinds) if rank < len(kinds[kind])]
    chosen = good + bad[:defective]
    np.random.default_rng(seed).shuffle(chosen)
    shutil.rmtree(target, ignore_errors=True)
    for name in chosen:
        for entry in parts[name]:
            for path in filter(None, (entry["image_path"], entry["mask_path"])):
                (target / prefix / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / prefix / path, target / prefix / path)
    document |= {"train": [], "test": [entry for name in chosen for entry in parts[name]]}
    (target / "realiad_jsons").mkdir()
    (target / "realiad_jsons" / description.name).write_text(json.dumps(document, indent=1) + "\n")
    click.echo(f"{target}: {len(good)} normal and {min(defective, len(bad))} defective parts")


if __name__ == "__main__":
    main()
