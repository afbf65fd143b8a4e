"""The thread that writes evidence gives way to every other one."""

from __future__ import annotations

import os
import threading

import pytest

from edgeflow.evidence.patient_thread import PatientThread


def test_calls_run_at_the_lowest_priority_and_their_caller_keeps_its_own() -> None:
    patient, found = PatientThread("evidence-files"), []
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    patient.call(lambda: found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id())))
    patient.close()
    assert found == [19]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


def test_error_of_a_call_is_its_callers() -> None:
    def fail() -> None:
        raise OSError(28, "No space left on device")

    patient = PatientThread("evidence-files")
    with pytest.raises(OSError, match="No space left"):
        patient.call(fail)
    patient.close()
