"""End of a command: every failure becomes one message and an exit code, never a traceback."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sqlite3
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import click

from edgeflow.cli.terminal.output import tolerate_any_output
from edgeflow.contracts.documents.file_names import as_text
from edgeflow.errors import EdgeflowError, UsageError
from edgeflow.log_output import is_for_people
from edgeflow.station.process.shutdown import end_process

__all__ = ["ended_in_words"]

logger = logging.getLogger(__name__)

_USAGE, _MACHINE = 2, 6
_READER_GONE = 141
_INTERRUPTED = 130
_OF_THE_USER = frozenset(
    {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EACCES,
        errno.EPERM,
        errno.EEXIST,
        errno.ENAMETOOLONG,
        errno.EINVAL,
        errno.ELOOP,
        errno.ENOTEMPTY,
    }
)


def ended_in_words(run: Callable[[], object]) -> None:
    """Run a command to its end: 0, or the exit code of what went wrong after one message.

    Besides the program's own errors, those of the operating system are told that no place in it foresaw:
    2 where other files or rights help, 6 where the machine lacks something.
    """
    tolerate_any_output()
    try:
        _require_usable_surroundings()
        run()
        sys.stdout.flush()
    except click.exceptions.Abort:
        end_process(_INTERRUPTED)
    except click.ClickException as error:
        error.show()
        end_process(error.exit_code)
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        end_process(_INTERRUPTED)
    except BrokenPipeError:
        _leave_without_reader()
    except SystemExit as end:  # 1: click and rich end so where the reader has gone
        if end.code == 1:
            _leave_without_reader()
        raise
    except EdgeflowError as error:
        _end(str(error), error.exit_code)
    except Exception as error:  # noqa: BLE001 - the last place that can tell it in words
        _end_unforeseen(error)
    end_process(0)


def _end_unforeseen(error: Exception) -> None:
    """Report an error of the operating system in words; a mistake in the program with its traceback."""
    if isinstance(error, OSError):
        _end(_told(error), _USAGE if error.errno in _OF_THE_USER else _MACHINE)
    elif isinstance(error, sqlite3.Error):
        _end(f"a database cannot be used: {error}; check that this user may read and write it", _MACHINE)
    elif isinstance(error, MemoryError):
        _end("not enough memory; close other programs, or use smaller images or batches", _MACHINE)
    else:
        traceback.print_exception(error)
        end_process(1)


def _require_usable_surroundings() -> None:
    """Refuse arguments and a current folder that no message, recipe or bundle could name."""
    for argument in sys.argv[1:]:
        if not _is_text(argument):
            raise UsageError(
                f"'{as_text(argument)}' is not UTF-8; rename the file or folder, and give its new name"
            )
    try:
        here = str(Path.cwd())
    except OSError as cause:
        raise UsageError("the current folder is not there any more; change to another one") from cause
    if not _is_text(here):
        raise UsageError(f"the current folder '{as_text(here)}' is not UTF-8; rename it, or start elsewhere")


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _told(error: OSError) -> str:
    what = error.strerror or str(error) or type(error).__name__
    names = [
        as_text(os.fsdecode(name))
        for name in (error.filename, error.filename2)
        if isinstance(name, str | bytes)
    ]
    if error.errno == errno.ENOSPC and not names:
        return f"output cannot be written: {what}; make room"
    where = f"{' and '.join(names)}: " if names else ""
    return f"{where}{what}; check that it is there, that this user may use it, and that the disk has room"


def _end(text: str, code: int) -> None:
    with contextlib.suppress(OSError):
        if is_for_people():
            click.echo(f"error: {text}", err=True)
        else:
            logger.error("%s", text, extra={"event": "ended"})
    try:
        sys.stdout.flush()
    except OSError:
        _write_nowhere(sys.stdout)
    end_process(code)


def _leave_without_reader() -> None:
    """Nothing is left to say."""
    for stream in (sys.stdout, sys.stderr):
        _write_nowhere(stream)
    end_process(_READER_GONE)


def _write_nowhere(stream: TextIO) -> None:
    """Python writes what a stream still holds when it ends, and would fail then."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
