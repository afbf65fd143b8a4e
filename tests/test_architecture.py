"""The rules that hold for the repository as a whole."""

from __future__ import annotations

import ast
import json
import pkgutil
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import edgeflow

MAX_LINES = 400
HEAVY = ("edgeflow_export", "nncf", "onnx", "safetensors", "timm", "torch")
# Optional parts of the runtime, whose libraries only the extras bring.
EXTRAS = ("av", "gi", "logging_journald", "onnxruntime", "openvino", "psycopg", "boto3", "botocore")


def python_files(repository: Path, *folders: str) -> list[Path]:
    return [file for folder in folders for file in sorted((repository / folder).rglob("*.py"))]


def test_import_contracts_hold(repository: Path) -> None:
    program = shutil.which("lint-imports", path=sysconfig.get_path("scripts"))
    assert program, "import-linter is not installed; run: pip install 'edgeflow[dev]'"
    done = subprocess.run(
        [program, "--no-cache", "--no-logo"], cwd=repository, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_runtime_module_loads_training_libraries() -> None:
    modules = [info.name for info in pkgutil.walk_packages(edgeflow.__path__, "edgeflow.")]
    assert "edgeflow.contracts.manifest" in modules
    script = (
        "import importlib, json, sys\n"
        f"for name in {modules!r}:\n"
        "    try:\n"
        "        importlib.import_module(name)\n"
        "    except ModuleNotFoundError as missing:\n"
        f"        if missing.name.partition('.')[0] not in {EXTRAS!r}:\n"
        "            raise\n"
        "print(json.dumps(sorted(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert "edgeflow" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_importing_the_package_alone_loads_nothing_else() -> None:
    script = (
        "import sys; before = set(sys.modules); import edgeflow; print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    # The second is no module: its entry keeps OpenVINO from importing what sends statistics.
    assert done.stdout.split() == ["edgeflow", "openvino_telemetry"]


def test_modules_stay_short(repository: Path) -> None:
    files = python_files(repository, "edgeflow", "export", "tools")
    lengths = {file: len(file.read_text("utf-8").splitlines()) for file in files}
    too_long = [f"{file.relative_to(repository)}: {n} lines" for file, n in lengths.items() if n > MAX_LINES]
    assert len(lengths) > 20
    assert too_long == []


def test_every_module_says_its_one_reason(repository: Path) -> None:
    silent = [
        str(file.relative_to(repository))
        for file in python_files(repository, "edgeflow", "export", "tools", "tests")
        if not ast.get_docstring(ast.parse(file.read_text("utf-8")))
    ]
    assert silent == []


def test_no_file_names_a_path_of_one_machine(repository: Path) -> None:
    folders = ("edgeflow", "export", "firmware_configs", "tests", "tools")
    files = [file for folder in folders for file in (repository / folder).rglob("*") if file.is_file()]
    files += [file for file in repository.iterdir() if file.is_file()]
    # Whoever wrote a file has such folders; the box has its own below /var, /etc and /usr.
    machine = re.compile(rb"(?<![\w.$}>-])/(?:home|Users|root|work|mnt|tmp)/[\w.]+")
    found = [
        f"{file.relative_to(repository)}: {match[0].decode()}"
        for file in files
        if "__pycache__" not in file.parts
        for match in machine.finditer(file.read_bytes())
    ]
    assert found == []


def test_docstrings_begin_with_a_plain_statement(repository: Path) -> None:
    """A first line that begins with What, How, Where and the like asks a question instead of answering it."""
    riddles = [
        f"{file.relative_to(repository)}:{node.body[0].lineno}"
        for file in python_files(repository, "edgeflow", "export", "tools")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if re.match(r"(What|How|Which|Whether|Where|When|Why|Who|Whose)\b", ast.get_docstring(node) or "")
    ]
    assert riddles == []


def test_folders_stay_small(repository: Path) -> None:
    """At most twelve modules beside each other; commands and networks are lists of like things."""
    lists = {repository / "edgeflow" / "cli", repository / "export" / "edgeflow_export" / "models"}
    modules = [f for f in python_files(repository, "edgeflow", "export") if f.name != "__init__.py"]
    folders = [file.parent for file in modules]
    full = {str(f.relative_to(repository)) for f in folders if folders.count(f) > 12 and f not in lists}
    assert full == set()
