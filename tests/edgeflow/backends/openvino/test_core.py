"""One core per process: what a core takes with it when it goes must not be missed by a running box."""

from __future__ import annotations

import subprocess
import sys

from tests.support.tiny import TinyProduct

_SIGNAL_AFTER_AN_EXCHANGE = """
import gc, signal, sys
from pathlib import Path
from edgeflow.scoring.loading import choose_graph, make_scorer
from edgeflow.bundles.bundle import Bundle

signal.signal(signal.SIGTERM, lambda *_: print("stopped in order"))
with Bundle.open(Path(sys.argv[1])) as bundle:
    running = make_scorer(bundle, choose_graph(bundle, backend="openvino", precision="fp32"))
    proven = make_scorer(bundle, choose_graph(bundle, backend="openvino", precision="fp32"))
running.close()
del running
gc.collect()
proven.close()
del proven
gc.collect()
signal.raise_signal(signal.SIGTERM)
"""


def test_a_signal_after_bundles_were_exchanged_is_handled(tiny: TinyProduct) -> None:
    command = [sys.executable, "-c", _SIGNAL_AFTER_AN_EXCHANGE, str(tiny.bundle)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "stopped in order"), done.stderr
