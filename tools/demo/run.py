"""The demo: recorded parts inspected by the real runtime, verdicts over a real MQTT connection.

Starts an embedded broker, `edgeflow run` on tools/demo/box.yaml, and a consumer that acknowledges every
result; shows the live table, then compares the verdicts with the ground truth and draws the rejected parts.
"""

from __future__ import annotations

import asyncio
import queue
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import paho.mqtt.client as paho
from amqtt.broker import Broker
from paho.mqtt.enums import CallbackAPIVersion
from rich.console import Console
from rich.live import Live

from demo.summary import print_summary, write_contact_sheet
from edgeflow.cli.monitor import render
from edgeflow.cli.terminal.monitor_board import Board, Seen, read_message
from edgeflow.contracts.datasets.find_parts import find_parts
from edgeflow.contracts.messages import Ack, Result, to_json
from edgeflow.contracts.topics import Topics

HERE = Path(__file__).resolve().parent
ROOT = "edgeflow/v1"
HOST = "127.0.0.1"
QUIET_S = 10.0


@click.command()
@click.option("--box", type=click.Path(path_type=Path, exists=True), default=HERE / "box.yaml")
@click.option("--parts", type=click.Path(path_type=Path, exists=True), default=HERE / "parts")
@click.option("--output", type=click.Path(path_type=Path), default=Path("demo_output"), show_default=True)
@click.option("--port", type=int, default=0, help="Port of the embedded broker; default: a free one.")
@click.option("--period-ms", type=float, default=500.0, show_default=True, help="Time between parts.")
def main(box: Path, parts: Path, output: Path, port: int, period_ms: float) -> None:
    """Inspect the recorded parts and show what was found."""
    started_s = time.monotonic()
    port = _free_port(port)
    _clear(output)
    recorded = find_parts(parts)
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"{len(recorded)} rendered parts (not photographed); box file {box}; "
        f"embedded broker mqtt://{HOST}:{port}\n"
    )
    settings = [
        f"mqtt.port={port}",
        f"trigger.period_ms={period_ms}",
        f"outbox.path={output.resolve() / 'outbox.db'}",
        f"evidence.dir={output.resolve() / 'evidence'}",
    ]
    with _broker(port), _consumer(port) as inbox:
        command = [sys.executable, "-m", "edgeflow.cli", "run", str(box), "--quiet"]
        command += [argument for setting in settings for argument in ("--set", setting)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as line:
            results = _watch(line, inbox, len(recorded), console)
            code = line.wait(QUIET_S)
    if code:
        console.print(f"[red]edgeflow run ended with exit code {code}[/red]")
        sys.exit(code)
    print_summary(console, recorded, results)
    sheet = write_contact_sheet(recorded, results, output)
    console.print(f"rejected parts with heat maps: {sheet}.png, {sheet}.html")
    console.print(f"{len(results)} of {len(recorded)} results in {time.monotonic() - started_s:.1f} s")
    console.print(f"their page: {_page_command(box, output)}")
    sys.exit(0 if len(results) == len(recorded) else 1)


def _page_command(box: Path, output: Path) -> str:
    """The command that opens the page on what this demo has left."""
    paths = {"outbox.path": output.resolve() / "outbox.db", "evidence.dir": output.resolve() / "evidence"}
    settings = " ".join(f"--set {key}={shlex.quote(str(path))}" for key, path in paths.items())
    program = Path(sys.executable).with_name("edgeflow")
    is_default = box == HERE / "box.yaml" and output.resolve() == HERE.parent.parent / "demo_output"
    return f"{program} web {box}" if is_default else f"{program} web {box} {settings}"


def _watch(
    line: subprocess.Popen[bytes], inbox: queue.SimpleQueue[Seen], expected: int, console: Console
) -> dict[str, Result]:
    """Show messages as they come until every result is there, or the line has ended and is quiet."""
    board = Board(rows=12)
    results: dict[str, Result] = {}
    ended_s: float | None = None
    with Live(render(board), console=console, auto_refresh=False) as live:
        while len(results) < expected or line.poll() is None:
            try:
                seen = inbox.get(timeout=0.2)
            except queue.Empty:
                ended_s = ended_s or (time.monotonic() if line.poll() is not None else None)
                if ended_s is not None and time.monotonic() - ended_s > 1.0:
                    break
                continue
            board.add(seen)
            if isinstance(seen.message, Result):
                results[seen.message.part_id] = seen.message
            live.update(render(board), refresh=True)
    if not console.is_terminal:
        console.print()  # the last table ends without a line end there
    return results


@contextmanager
def _broker(port: int) -> Iterator[None]:
    """A small MQTT broker in a thread; a production line uses a real one, such as Mosquitto."""
    ready: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        config = {
            "listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
        broker = Broker(config)
        try:
            await broker.start()
        except Exception as error:  # noqa: BLE001 - handed to the thread that waits
            ready.put(error)
            return
        ready.put(None)
        await stop.wait()
        await broker.shutdown()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), name="broker", daemon=True)
    thread.start()
    error = ready.get(timeout=QUIET_S)
    if error is not None:
        raise click.ClickException(f"the embedded broker cannot start on port {port}: {error}")
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(QUIET_S)


@contextmanager
def _consumer(port: int) -> Iterator[queue.SimpleQueue[Seen]]:
    """A consumer as a quality system would be one: takes every result and acknowledges it."""
    inbox: queue.SimpleQueue[Seen] = queue.SimpleQueue()
    subscribed = threading.Event()

    def on_message(client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
        seen = read_message(message.topic, bytes(message.payload))
        if seen is None:
            return
        inbox.put(seen)
        if isinstance(seen.message, Result):
            root = message.topic.removesuffix("/result")
            client.publish(
                Topics(root=root).result_ack, to_json(Ack(result_ids=(seen.message.result_id,))), 1
            )

    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="demo-consumer")
    client.on_message = on_message
    client.on_subscribe = lambda *_: subscribed.set()
    client.connect(HOST, port)
    client.subscribe(f"{ROOT}/#", 1)
    client.loop_start()
    if not subscribed.wait(QUIET_S):
        raise click.ClickException("the embedded broker does not answer")
    try:
        yield inbox
    finally:
        client.disconnect()
        client.loop_stop()


def _clear(output: Path) -> None:
    """Remove what an earlier demo wrote, and nothing else."""
    output.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(output / "evidence", ignore_errors=True)
    for pattern in ("outbox.db*", "history.db*", "rejected.png", "rejected.html"):
        for path in output.glob(pattern):
            path.unlink()


def _free_port(wanted: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError as cause:
            raise click.UsageError(f"port {wanted} is in use; choose another, or leave --port out") from cause
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
