"""An MQTT client for tests: says something, and keeps what it hears."""

import threading

import paho.mqtt.client as paho
from facefleet.protocol import Receipt


class Listener:
    """Connected to a broker of this machine and subscribed; a context manager."""

    def __init__(self, port: int, *topics: str) -> None:
        self.heard: list[tuple[str, bytes, bool]] = []
        """Topic, payload, and whether it was retained."""
        self._subscribed = threading.Event()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
        self._client.max_inflight_messages_set(1000)
        self._client.on_message = lambda _client, _userdata, message: self.heard.append(
            (message.topic, message.payload, message.retain)
        )
        self._client.on_connect = lambda client, *_: client.subscribe(
            [(topic, 0) for topic in topics or ("#",)]
        )
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        if not self._subscribed.wait(60):
            raise TimeoutError("the broker granted no subscription")

    def __enter__(self) -> "Listener":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        # Freed at once, without the garbage collector, which may free paho's sockets before paho.
        self._client.on_message = self._client.on_connect = self._client.on_subscribe = None

    def say(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Publish, and wait until the broker has it."""
        self._client.publish(topic, payload, qos, retain).wait_for_publish(60)

    def on(self, topic: str) -> list[bytes]:
        """The payloads heard on one topic."""
        return [payload for heard, payload, _ in self.heard if heard == topic]

    def retained(self, topic: str) -> list[bytes]:
        """The payloads that the broker had kept on one topic."""
        return [payload for heard, payload, retain in self.heard if heard == topic and retain]

    def receipts(self, device: str, camera: str) -> list[Receipt]:
        """Those of one camera."""
        payloads = self.on(f"receipts/{device}/{camera}")
        return [receipt for payload in payloads if (receipt := Receipt.decode(payload))]

    def stored(self, device: str, camera: str) -> list[int]:
        """The seqs that receipts called stored, as often as they did."""
        return [seq for receipt in self.receipts(device, camera) for seq, _ in receipt.stored]
