"""`python -m benchmarks.bench_mqtt [--messages N] [--repetitions N]`: a client's CPU per message.

facefleet's connection (its codec beside paho) against plain paho: on the same asyncio loop by
paho's socket callbacks, and with paho's own thread. One Mosquitto; each run is a process of its
own, and its CPU time is its alone, from the first message to the last. The clients take turns, and
a ratio is taken within each repetition.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import paho.mqtt.client as paho
from facefleet.mqtt import Connection
from facefleet.runtime import freeze_gc
from facefleet.tools.tables import table
from pydantic import AnyUrl

from support.rig import ROOT, Rig

TOPIC = "faces/edge-1/front/2026/02/28/235959-000001-0123abcd-7-89abcdef"
PAYLOAD = bytes(6000)
BATCH = 50  # messages between two turns of the loop
ENDED = "bench/ended"  # said last; what comes back after it has all been taken
CLIENTS = ("facefleet", "paho, asyncio", "paho, thread")


class _Facefleet:
    def __init__(self, port: int, topic: str, qos: int, on_message: Callable[[str], None]) -> None:
        self._qos = qos
        self._up = asyncio.Event()
        self._connection = Connection(
            AnyUrl(f"mqtt://127.0.0.1:{port}"),
            "",
            subscriptions=[(topic, qos)],
            on_message=lambda topic, _payload, _retain: on_message(topic),
            on_up=self._up.set,
        )

    async def connect(self) -> None:
        self._task = asyncio.create_task(self._connection.run())
        await self._up.wait()

    def publish(self, topic: str, payload: bytes) -> None:
        if not self._connection.publish(topic, payload, self._qos):
            raise ConnectionError("the message was dropped")


class _Paho:
    """paho as its documentation has it; `threaded`: with its own loop, else on asyncio's."""

    def __init__(
        self, port: int, topic: str, qos: int, on_message: Callable[[str], None], threaded: bool
    ) -> None:
        self._port, self._qos, self._threaded = port, qos, threaded
        self._up = asyncio.Event()
        loop = self._loop = asyncio.get_running_loop()
        self._client = client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        client.max_inflight_messages_set(65_535)
        client.on_connect = lambda *_: client.subscribe(topic, qos)
        client.on_subscribe = lambda *_: loop.call_soon_threadsafe(self._up.set)
        client.on_message = lambda _client, _userdata, message: on_message(message.topic)
        if not threaded:
            client.on_socket_open = lambda _c, _u, sock: loop.add_reader(sock, client.loop_read)
            client.on_socket_close = lambda _c, _u, sock: loop.remove_reader(sock)
            client.on_socket_register_write = lambda _c, _u, sock: loop.add_writer(
                sock, client.loop_write
            )
            client.on_socket_unregister_write = lambda _c, _u, sock: loop.remove_writer(sock)

    async def connect(self) -> None:
        self._client.connect("127.0.0.1", self._port)
        if self._threaded:
            self._client.loop_start()
        await self._up.wait()

    def publish(self, topic: str, payload: bytes) -> None:
        self._client.publish(topic, payload, self._qos)


def _client(name: str, port: int, topic: str, qos: int, on_message: Callable[[str], None]):
    if name == "facefleet":
        return _Facefleet(port, topic, qos, on_message)
    return _Paho(port, topic, qos, on_message, threaded=name == "paho, thread")


async def _publish(name: str, port: int, qos: int, messages: int) -> float:
    """CPU seconds of publishing."""
    loop = asyncio.get_running_loop()
    heard = asyncio.Event()
    client = _client(name, port, ENDED, qos, lambda _: loop.call_soon_threadsafe(heard.set))
    await client.connect()
    freeze_gc()
    began = time.process_time()
    for _ in range(messages // BATCH):
        for _ in range(BATCH):
            client.publish(TOPIC, PAYLOAD)
        client.publish(ENDED, b"")
        await heard.wait()
        heard.clear()
    return time.process_time() - began


async def _receive(name: str, port: int, qos: int, messages: int) -> float:
    """CPU seconds of receiving, with what a process of its own publishes."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    count = 0

    def on_message(_topic: str) -> None:
        nonlocal count
        count += 1
        if count == messages:
            loop.call_soon_threadsafe(done.set)

    client = _client(name, port, TOPIC, qos, on_message)
    await client.connect()
    freeze_gc()
    command = [sys.executable, "-m", "benchmarks.bench_mqtt", "--run", "publish"]
    command += ["--client", "facefleet", "--port", str(port), "--qos", str(qos)]
    command += ["--messages", str(messages)]
    feeder = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL, cwd=ROOT)
    began = time.process_time()
    await done.wait()
    spent = time.process_time() - began
    await feeder.wait()
    return spent


def _measure(port: int, messages: int, repetitions: int) -> list[list[str]]:
    rows = []
    for what in ("publish", "receive"):
        for qos in (0, 1):
            runs: dict[str, list[float]] = {name: [] for name in CLIENTS}
            for _ in range(repetitions):
                for name in CLIENTS:
                    command = [sys.executable, "-m", "benchmarks.bench_mqtt", "--run", what]
                    command += ["--client", name, "--port", str(port), "--qos", str(qos)]
                    command += ["--messages", str(messages)]
                    found = subprocess.run(
                        command, capture_output=True, text=True, check=True, cwd=ROOT, timeout=300
                    )
                    runs[name].append(json.loads(found.stdout) * 1000 / messages)
            for name in CLIENTS:
                ratios = [a / b for a, b in zip(runs[name], runs["facefleet"], strict=True)]
                rows.append([f"{what}, QoS {qos}", name, _spread(runs[name]), _spread(ratios)])
    return rows


def _spread(values: list[float]) -> str:
    return f"{median(values):.3f} ({min(values):.3f}..{max(values):.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description="measure an MQTT client beside plain paho")
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--run", choices=("publish", "receive"), help=argparse.SUPPRESS)
    parser.add_argument("--client", choices=CLIENTS, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--qos", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run = {"publish": _publish, "receive": _receive}[options.run]
        print(asyncio.run(run(options.client, options.port, options.qos, options.messages)))
        return
    with tempfile.TemporaryDirectory() as folder, Rig(Path(folder)) as rig:
        _, port = rig.mosquitto("broker", more="max_queued_messages 0\n")
        rows = _measure(port, options.messages, options.repetitions)
    print(table([["", "client", "CPU s per 1,000", "to facefleet"], *rows]))


if __name__ == "__main__":
    main()
