"""Every command in surroundings that file systems, locales, editors and other users hand us.

Whatever is wrong ends in a sentence and a documented exit code, never in a traceback.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from edgeflow.cli.main import cli
from edgeflow.security.keys import new_key
from simulators.small_bundle import VIEWS, small_bundle
from tests.support.commands import commands_of
from tests.support.tiny import HERE, search_path, write_recipe

DOCUMENTED = {0, 2, 3, 4, 5, 6, 130, 141}
WORKSTATION = {"train", "evaluate", "export"}
PARTS = 6
SIDE = 32


@dataclass(frozen=True, kw_only=True)
class Files:
    """Inputs of the commands."""

    root: Path
    parts: Path
    box: Path
    recipe: Path
    bundle: Path

    @property
    def collector(self) -> Path:
        return self.root / "collector.yaml"

    @property
    def key(self) -> Path:
        return self.root / "line.key.pem"


def write_files(root: Path, *, part: str = "p%d", box_encoding: str = "utf-8") -> Files:
    root.mkdir(parents=True, exist_ok=True)
    files = Files(
        root=root,
        parts=root / "parts",
        box=root / "box.yaml",
        recipe=root / "recipe.yaml",
        bundle=root / "b.bundle",
    )
    for number in range(PARTS):
        for index, view in enumerate(VIEWS):
            rng = np.random.default_rng([number, index])
            file = files.parts / (part % number) / f"{view}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (SIDE, SIDE), dtype=np.uint8)).save(file)
    small_bundle(files.bundle)
    new_key(root / "line", None)
    (root / "password").write_text("secret")
    files.box.write_bytes(yaml.safe_dump(box_document(), allow_unicode=True).encode(box_encoding))
    collector = {"mqtt": {"host": "127.0.0.1"}, "store": {"kind": "sqlite", "path": "results.db"}}
    files.collector.write_bytes(yaml.safe_dump(collector).encode(box_encoding))
    write_recipe(files.recipe, Path("parts"))
    document = yaml.safe_load(files.recipe.read_text())
    document["image"] = {"height": SIDE, "width": SIDE}
    document["training"] |= {"epochs": 1, "batch": 2}
    files.recipe.write_bytes(yaml.safe_dump(document).encode(box_encoding))
    evidence = root / "evidence" / "2026-11-28" / "r1"
    evidence.mkdir(parents=True)
    shutil.copy(HERE.parent / "samples" / "result.json", evidence / "result.json")
    return files


def box_document() -> dict[str, object]:
    return {
        "station": {"site": "p", "line": "l", "station": "s"},
        "bundle": "b.bundle",
        "trigger": {"source": "interval", "period_ms": 200, "timeout_ms": 2000},
        "cameras": {view: {"kind": "replay", "parts": "parts"} for view in VIEWS},
        "sync": {"max_skew_ms": 50},
        "decision": {"deadline_ms": 5000},
        "runtime": {"backend": "onnxruntime", "precision": "fp32", "threads": 1},
        "mqtt": {"host": "127.0.0.1", "port": 9, "username": "box", "password_file": "password"},
        "outbox": {"path": "outbox.db", "confirm": "broker"},
        "evidence": {"dir": "evidence", "save": ["OK", "NG", "UNDECIDED"], "min_free_gb": 0},
        "views": {"at_start": "off", "watch": False},
    }


def command_lines(files: Files) -> dict[str, list[str | Path]]:
    """One call of each command, with all that it can be given here."""
    out, box, bundle = files.root / "out", files.box, files.bundle
    fleet_keys = ("--keys", out / "fleet-keys")
    return {
        "run": [box, "--once"],
        "check": [box],
        "monitor": ["mqtt://127.0.0.1:9", "-n", "1"],
        "inspect": [bundle, "--report", out / "report.html"],
        "verify": [bundle],
        "score": [bundle, files.parts, "--maps", out / "maps"],
        "schema": ["box"],
        "calibrate": [bundle, files.parts, "-o", out / "c.bundle", "--sign", files.key],
        "data inspect": [files.parts],
        "train": [files.recipe, "-o", out / "run", "--device", "cpu"],
        "evaluate": [out / "run" / "checkpoint.safetensors", "-o", out / "ev"],
        "export": [out / "none.safetensors", "-o", out / "e.bundle"],
        "bench": [bundle, "--turns", "3", "--parts", files.parts],
        "cameras list": [],
        "cameras snapshot": [box, "-o", out / "snapshot", "--propose-crops"],
        "cameras calibrate": [out / "board.png", "--print-board"],
        "record": [box, "-o", out / "recorded", "-n", "1"],
        "replay": [box, files.parts],
        "outbox status": [box],
        "outbox flush": [box, "--timeout", "1"],
        "outbox export": [box, "-o", out / "results.jsonl"],
        "outbox aside": [box],
        "outbox restore": [box, "--all"],
        "ctl": [box, "status"],
        "evidence list": [box],
        "evidence show": ["p-1", box, "-o", out / "overview.png"],
        "evidence label": [box, "p-1", "--ok"],
        "evidence export": [box, "--labelled", "-o", out / "labelled"],
        "evidence upload": [box, "--once"],
        "report": [box, "-o", out / "report.html"],
        "results list": [box],
        "results stats": [box],
        "results export": [box, "-o", out / "results.csv"],
        "shadow report": [box, "-o", out / "shadow.html"],
        "web": [box, "--remove-user", "nobody"],
        "collect": [files.collector, "--status"],
        "opcua": [box, "--trust", files.root / "line.pub.pem"],
        "modbus": [box, "--listen", "127.0.0.1:99999"],
        "config list": [],
        "config show": ["boxes/usb5.yaml"],
        "config write": ["line_controller", "-o", out / "files"],
        "keys new": [out / "keys" / "new"],
        "keys tls": [out / "tls", "--server", "box7.plant.example,127.0.0.1"],
        "keys show": [files.key, "--passphrase-file", files.root / "password"],
        "keys sign": [bundle, "--key", files.key],
        "keys check": [bundle, "--trust", files.root / "line.pub.pem"],
        "fleet init": [out / "fleet", *fleet_keys, "--group", "canary:1", "--group", "line3"],
        "fleet publish": [out / "fleet", bundle, *fleet_keys],
        "fleet publish-box": [out / "fleet", box, *fleet_keys],
        "fleet promote": [out / "fleet", "bracket", "--to", "line3", *fleet_keys],
        "fleet status": [out / "fleet"],
        "fleet revoke": [out / "fleet", "bracket", *fleet_keys],
        "fleet refresh": [out / "fleet", *fleet_keys],
        "fleet rotate": [out / "fleet", "timestamp", *fleet_keys],
        "fleet follow": [box, "--once"],
    }


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Form of the files, and the environment of the process that uses them."""

    prepare: Callable[[Path], Files] = write_files
    environment: dict[str, str | None] = field(default_factory=dict)
    process: dict[str, object] = field(default_factory=dict)
    codes: frozenset[int] = frozenset(DOCUMENTED)
    workstation: bool = False  # whether commands that take long are walked, too


def beside(root: Path) -> Files:
    """Files that macOS, Windows and network drives add to folders, and broken links."""
    files = write_files(root)
    for folder in (files.parts, *list(files.parts.iterdir()), files.root / "evidence" / "2026-11-28"):
        (folder / "._C1.png").write_bytes(b"\0\5\26\7\0\2\0\0Mac OS X")
        (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
        (folder / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (files.parts / "__MACOSX" / "p0").mkdir(parents=True)
    (files.parts / "__MACOSX" / "p0" / "._top.png").write_bytes(b"x")
    (files.parts / "gone").symlink_to(root / "nowhere")
    return files


def foreign_names(root: Path) -> Files:
    files = write_files(root, part=os.fsdecode(b"St\xfcck-%d"))
    (files.parts / os.fsdecode(b"St\xfcck-0") / os.fsdecode(b"\xfcbersicht.txt")).write_bytes(b"")
    return files


def views_with_blanks(root: Path) -> Files:
    files = write_files(root)
    for part in files.parts.iterdir():
        (part / "left.png").rename(part / "linke Seite ⬅.png")
    return files


def one_folder_per_camera(root: Path) -> Files:
    files = write_files(root)
    shutil.rmtree(files.parts)
    for view in VIEWS:
        for number in range(PARTS):
            file = files.parts / view / f"{number:03d}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((SIDE, SIDE), 40 * number, np.uint8)).save(file)
    return files


def folders_for_files(root: Path) -> Files:
    files = write_files(root)
    for file in (files.box, files.recipe, files.bundle, files.key, root / "password"):
        file.unlink()
        file.mkdir()
    shutil.rmtree(files.parts)
    files.parts.write_text("not a folder")
    return files


def empty_files(root: Path) -> Files:
    files = write_files(root)
    for file in (files.box, files.recipe, files.bundle, files.key, *files.parts.rglob("*.png")):
        file.write_bytes(b"")
    return files


def closed_to_others(root: Path) -> Files:
    files = write_files(root)
    root.chmod(0o755)
    for file in root.rglob("*"):
        file.chmod(0o700 if file.is_dir() else 0o600)
    return files


def closed_evidence(root: Path) -> Files:
    files = write_files(root)
    for file in (root, *root.rglob("*")):
        file.chmod(0o755 if file.is_dir() else 0o644)
    (root / "evidence" / "2026-11-28").chmod(0o700)
    (root / "outbox.db").write_bytes(b"")
    (root / "outbox.db").chmod(0o600)
    return files


OTHER_USER = {"process": {"uid": 54321}, "environment": {"HOME": None, "XDG_CACHE_HOME": None}}

SURROUNDINGS = {
    "as usual": Surroundings(codes=frozenset({0, 2, 6})),
    "a terminal of ASCII": Surroundings(environment={"PYTHONIOENCODING": "ascii:strict"}),
    "a terminal of Latin-9": Surroundings(environment={"PYTHONIOENCODING": "iso8859-15:strict"}),
    "a locale without UTF-8": Surroundings(
        workstation=True,
        prepare=lambda root: write_files(root, part="Stück-%d"),
        environment={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ),
    "part folders that are not UTF-8": Surroundings(workstation=True, prepare=foreign_names),
    "everything in a folder that is not UTF-8": Surroundings(
        prepare=lambda root: write_files(root / os.fsdecode(b"Pr\xfcfung"))
    ),
    "a current folder that is gone": Surroundings(process={"cwd": "here", "gone": True}),
    "a current folder that is not UTF-8": Surroundings(process={"cwd": os.fsdecode(b"h\xfcer")}),
    "files of other systems beside ours": Surroundings(workstation=True, prepare=beside),
    "views with blanks": Surroundings(workstation=True, prepare=views_with_blanks),
    "one folder per camera": Surroundings(prepare=one_folder_per_camera),
    "byte-order marks": Surroundings(prepare=lambda root: write_files(root, box_encoding="utf-8-sig")),
    "UTF-16": Surroundings(prepare=lambda root: write_files(root, box_encoding="utf-16")),
    "folders instead of files": Surroundings(prepare=folders_for_files),
    "empty files": Surroundings(prepare=empty_files),
    "a disk that takes nothing": Surroundings(workstation=True, process={"no_writing": True}),
    "standard output that takes nothing": Surroundings(process={"full": True}),
    "closed standard streams": Surroundings(process={"closed": [0, 1, 2]}),
    "files of another user": Surroundings(prepare=closed_to_others, **OTHER_USER),  # type: ignore[arg-type]
    "evidence of another user": Surroundings(prepare=closed_evidence, **OTHER_USER),  # type: ignore[arg-type]
}


def walk(folder: Path, surroundings: Surroundings) -> dict[str, dict[str, object]]:
    """Outcome of every command."""
    files = surroundings.prepare(folder / "files")
    lines = command_lines(files)
    assert set(lines) == set(commands_of(cli))
    process = dict(surroundings.process)
    if process.get("cwd"):
        here = folder / str(process["cwd"])
        here.mkdir()
        process["cwd"] = str(here)
    latin = {
        name: [os.fsencode(argument).decode("latin-1") for argument in (*name.split(), *rest)]
        for name, rest in lines.items()
        if surroundings.workstation or name not in WORKSTATION
    }
    spec = folder / "walk.json"
    spec.write_text(json.dumps({"commands": latin, **process}), "utf-8")
    environment = {**os.environ, "PYTHONPATH": search_path(), "XDG_CACHE_HOME": str(folder / "cache")}
    for name, value in surroundings.environment.items():
        environment.pop(name, None)
        environment |= {name: value} if value is not None else {}
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.walk", os.fsencode(spec)],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return {found["name"]: found for found in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_no_surroundings_end_a_command_with_a_traceback(name: str, tmp_path: Path) -> None:
    surroundings = SURROUNDINGS[name]
    if "uid" in surroundings.process and os.getuid() != 0:
        pytest.skip("only root can become another user")
    found = walk(tmp_path, surroundings)
    assert set(found) == set(commands_of(cli)) - (set() if surroundings.workstation else WORKSTATION)
    wrong = [
        f"{command}: {end['code']}: {str(end['err'])[-600:]}"
        for command, end in found.items()
        if end["code"] not in surroundings.codes or "Traceback" in f"{end['out']}{end['err']}"
    ]
    assert not wrong, "\n\n".join(wrong)


COMMANDS_THAT_PRINT = (
    ["--help"],
    ["inspect", "BUNDLE", "--json"],
    ["inspect", "BUNDLE"],
    ["verify", "BUNDLE"],
)


@pytest.mark.parametrize("arguments", COMMANDS_THAT_PRINT, ids=" ".join)
def test_a_reader_that_has_gone_ends_a_command_quietly(arguments: list[str], tmp_path: Path) -> None:
    bundle = small_bundle(tmp_path / "b.bundle")
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "edgeflow.cli", *(str(bundle) if a == "BUNDLE" else a for a in arguments)],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")
