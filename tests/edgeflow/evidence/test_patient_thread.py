"""The thread that writes evidence gives way to every other one."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from edgeflow.evidence.patient_thread import PatientThread


def started() -> PatientThread:
    patient = PatientThread("evidence-files")
    patient.start()
    return patient


def test_calls_run_at_the_lowest_priority_and_their_caller_keeps_its_own() -> None:
    patient, found = started(), []
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    patient.call(lambda: found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id())))
    patient.close()
    assert found == [19]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


def test_error_of_a_call_is_its_callers() -> None:
    def fail() -> None:
        raise OSError(28, "No space left on device")

    patient = started()
    with pytest.raises(OSError, match="No space left"):
        patient.call(fail)
    patient.close()


def test_call_that_never_returns_does_not_keep_the_process_from_ending() -> None:
    program = (
        "import threading\n"
        "from edgeflow.evidence.patient_thread import PatientThread\n"
        "patient = PatientThread('evidence-files')\n"
        "patient.start()\n"
        "never = threading.Event()\n"
        "threading.Thread(target=patient.call, args=(never.wait,), daemon=True).start()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
