"""Carry a message of 100,000 bytes through the broker on a port: `message.py PORT`."""

import queue
import sys

import paho.mqtt.client as mqtt

PAYLOAD = bytes(100_000)
arrived = queue.Queue()


def on_connect(client, *_):
    client.subscribe("faces/#")


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
client.on_connect = on_connect
client.on_subscribe = lambda client, *_: client.publish("faces/try", PAYLOAD)
client.on_message = lambda _, __, message: arrived.put((message.topic, message.payload))
client.connect("127.0.0.1", int(sys.argv[1]))
client.loop_start()
assert arrived.get(timeout=10) == ("faces/try", PAYLOAD)
client.disconnect()
