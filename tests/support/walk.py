"""Runs commands one after the other, each in a fork of this process, in surroundings that a test describes.

Reads one JSON document from the file named as its argument: ``commands`` (name → arguments), and of the
surroundings ``cwd``, ``gone`` (whether that folder is removed), ``uid``, ``no_writing``, ``closed`` (numbers
of standard streams) and ``full`` (whether standard output takes nothing). Writes one JSON line per command.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pkgutil
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

LIMIT_S = 60.0


def enter(spec: dict[str, Any]) -> None:
    """Make this process one that was started in these surroundings."""
    if spec.get("cwd"):
        os.makedirs(os.fsencode(spec["cwd"]), exist_ok=True)  # noqa: PTH103 - a name of bytes
        os.chdir(os.fsencode(spec["cwd"]))
        if spec.get("gone"):
            shutil.rmtree(os.fsencode(spec["cwd"]))
    if spec.get("uid"):
        os.setgroups([])
        os.setgid(spec["uid"])
        os.setuid(spec["uid"])
    if spec.get("no_writing"):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if number in spec.get("closed", ()):
            os.close(number)
            setattr(sys, name, None)
    if spec.get("full"):
        os.dup2(os.open("/dev/full", os.O_WRONLY), 1)


def child(arguments: list[str], out: int, err: int, spec: dict[str, Any]) -> None:
    from edgeflow.cli.main import main

    os.setsid()
    os.dup2(out, 1)
    os.dup2(err, 2)
    code = 0
    try:
        enter(spec)
        tempfile.tempdir = None
        sys.argv = ["edgeflow", *arguments]
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - that is what is looked for
        os.write(err, traceback.format_exc().encode("ascii", "backslashreplace"))
        code = 1
    # As Python does when it ends, which turns output that cannot be written into an exit code of its own.
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            code = 120
    os._exit(code)


def run(name: str, arguments: list[str], spec: dict[str, Any]) -> dict[str, object]:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        pid = os.fork()
        if not pid:
            child([os.fsdecode(a.encode("latin-1")) for a in arguments], out.fileno(), err.fileno(), spec)
        until_s = time.monotonic() + LIMIT_S
        while not (ended := os.waitpid(pid, os.WNOHANG))[0]:
            if time.monotonic() > until_s:
                os.killpg(pid, signal.SIGKILL)
                ended = os.waitpid(pid, 0)
                break
            time.sleep(0.02)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "backslashreplace"))
        took_s = time.monotonic() - (until_s - LIMIT_S)
        return {
            "name": name,
            "took_s": took_s,
            "code": os.waitstatus_to_exitcode(ended[1]),
            "out": texts[0],
            "err": texts[1],
        }


def main() -> None:
    # All at once for all forks, while this user may read them; nothing of it has started a thread yet.
    for name in ("encodings", "edgeflow"):
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            with contextlib.suppress(ImportError):
                importlib.import_module(module.name)

    spec = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    if "train" in spec["commands"]:
        importlib.import_module("edgeflow_export.cli.train")
    for name, arguments in spec["commands"].items():
        print(json.dumps(run(name, arguments, spec)), flush=True)


if __name__ == "__main__":
    main()
