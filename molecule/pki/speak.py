"""Say something at the broker, and print what comes of it: `speak.py FOLDER PORT DEVICE [SECONDS]`.

With SECONDS it stays so long, and fails where the connection ends before.
"""

import queue
import sys

import paho.mqtt.client as mqtt

folder, port, device, *seconds = sys.argv[1:]
said, ended = queue.Queue(), queue.Queue()
client = mqtt.Client(
    mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5, reconnect_on_failure=False
)
client.tls_set(f"{folder}/ca.crt", f"{folder}/tls.crt", f"{folder}/tls.key")
client.on_connect = lambda client, *_: client.publish(f"status/{device}", b"x", 1)
client.on_publish = lambda *arguments: said.put(arguments[3])
client.on_disconnect = lambda *arguments: (ended.put(arguments[3]), said.put("shut out"))
client.connect("127.0.0.1", int(port))
client.loop_start()
print(said.get(timeout=20), flush=True)
if seconds:
    try:
        sys.exit(f"the connection has ended: {ended.get(timeout=float(seconds[0]))}")
    except queue.Empty:
        print("still there")
