"""The shape to compare with: publish and hope. No outbox, no receipts, everything in callbacks.

As `python -m benchmarks.plain`:
`detector PORT QOS LOG FACES RATE`: numbered faces, and what was sent into LOG.
`relay EDGE_PORT CLOUD_PORT QOS`: faces from one broker to the other.
`processor PORT BUCKET QOS`: each face into the bucket, one after the other.
Above QoS 0 the sessions are kept by the brokers, as that QoS deserves. Says "ready" on stdout.
"""

import argparse
import sys
import threading
import time
from pathlib import Path

import boto3
import paho.mqtt.client as paho

from benchmarks.feeder import CAMERA, DEVICE, Log, face
from support.rig import AWS, ROOT, Process, Rig, await_true

FACES = "faces/#"


def start(rig: Rig, role: str, *arguments: object, **environment: str) -> Process:
    """Start a part of it as a process, and wait until it has subscribed."""
    command = [sys.executable, "-m", "benchmarks.plain", role, *map(str, arguments)]
    environment = {**AWS, **environment, "PYTHONPATH": str(ROOT)}
    process = Process(f"plain-{role}", command, rig.folder, environment)
    rig.processes.append(process.start())
    await_true(lambda: "ready" in process.log.read_text(), f"{process.name} has subscribed")
    return process


def connect(
    name: str,
    port: int,
    qos: int,
    subscribe: bool = False,
    on_message: object = None,
    *,
    host: str = "127.0.0.1",
    tls: Path | None = None,
    keep_alive: int = 10,
) -> paho.Client:
    """A client on its way to a broker, that comes back after each end.

    `tls`: the folder of its certificate.
    """
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=name, clean_session=qos == 0)
    client.reconnect_delay_set(1, 2)
    if subscribe:
        client.on_connect = lambda *_: client.subscribe(FACES, qos)
        client.on_subscribe = lambda *_: print("ready", flush=True)
        client.on_message = on_message
    if tls:
        client.tls_set(*(str(tls / file) for file in ("ca.crt", "tls.crt", "tls.key")))
    client.connect_async(host, port, keepalive=keep_alive)
    return client


def detector(port: int, qos: int, log: Path, faces: int, rate: float) -> None:
    client = connect("plain-detector", port, qos)
    client.on_connect = lambda *_: print("ready", flush=True)
    client.loop_start()
    while not client.is_connected():
        time.sleep(0.01)
    sent = Log(log)
    due = time.monotonic()
    for number in range(sent.next_number, faces):
        due += 1 / rate
        time.sleep(max(0, due - time.monotonic()))
        sent.add([(number, number + 1)])
        client.publish(f"faces/{DEVICE}/{CAMERA}/{number}.jpg", face(number), qos)
    threading.Event().wait()


def relay(edge_port: int, cloud_port: int, qos: int) -> None:
    cloud = connect("plain-relay", cloud_port, qos)
    cloud.loop_start()

    def pass_on(_client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        cloud.publish(message.topic, message.payload, qos)

    edge = connect("plain-relay", edge_port, qos, subscribe=True, on_message=pass_on)
    edge.loop_forever(retry_first_connection=True)


def processor(port: int, bucket: str, qos: int) -> None:
    s3 = boto3.client("s3")

    def store(_client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        try:
            s3.put_object(
                Bucket=bucket, Key=message.topic, Body=message.payload, ContentType="image/jpeg"
            )
        except Exception as error:  # and hope
            print("lost", message.topic, error, flush=True)

    client = connect("plain-processor", port, qos, subscribe=True, on_message=store)
    client.loop_forever(retry_first_connection=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="publish and hope")
    roles = parser.add_subparsers(dest="role", required=True)
    for name, arguments in (
        ("detector", {"port": int, "qos": int, "log": Path, "faces": int, "rate": float}),
        ("relay", {"edge_port": int, "cloud_port": int, "qos": int}),
        ("processor", {"port": int, "bucket": str, "qos": int}),
    ):
        role = roles.add_parser(name)
        for argument, kind in arguments.items():
            role.add_argument(argument, type=kind)
    given = vars(parser.parse_args())
    {"detector": detector, "relay": relay, "processor": processor}[given.pop("role")](**given)


if __name__ == "__main__":
    main()
