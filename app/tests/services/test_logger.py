"""The logger: a JSON line for each message that its broker carries."""

import json

from facefleet.protocol import Receipt

from support.listener import Listener
from support.rig import Rig, await_true, unmet

FACE = "faces/edge-1/front/2026/02/28/235959-000001-0123abcd-7-89abcdef"


def test_a_line_for_each(rig: Rig) -> None:
    process, port = rig.mosquitto("broker")
    logger, url = rig.service("logger", device="edge-1", broker=f"mqtt://127.0.0.1:{port}")
    receipt = Receipt("0123abcd", stored=[(1, "00000000")], refused=[(2, "00000000", "why")])
    with Listener(port, "none") as listener:
        listener.say(FACE, b"12345")
        listener.say("faces/nobody", b"123")
        listener.say("receipts/edge-1/front", receipt.encode())
        listener.say("receipts/edge-1/front", b"\xffnothing")
        listener.say("status/edge-1/front", b'{"state": "online"}')
        listener.say("other/topic", b"not listened to")
        listener.say("status/end", b"")

    def lines() -> list[dict]:
        return [json.loads(line) for line in logger.log.read_text().splitlines()]

    await_true(lambda: any(line.get("topic") == "status/end" for line in lines()), "all are logged")
    heard = [line for line in lines() if line["event"] not in ("ready", "ready again")]
    for line in heard:
        assert line.pop("service") == "logger"
        assert line.pop("timestamp")
    message = {"event": "message", "level": "info"}
    assert heard == [
        {
            "event": "face",
            "level": "info",
            "device": "edge-1",
            "camera": "front",
            "seq": 7,
            "bytes": 5,
        },
        {
            "event": "face with a malformed topic",
            "level": "warning",
            "topic": "faces/nobody",
            "bytes": 3,
        },
        {
            "event": "receipt",
            "level": "info",
            "topic": "receipts/edge-1/front",
            "stored": 1,
            "quarantined": 0,
            "refused": 1,
        },
        {
            **message,
            "topic": "receipts/edge-1/front",
            "payload": "\ufffdnothing",
        },
        {**message, "topic": "status/edge-1/front", "payload": '{"state": "online"}'},
        {**message, "topic": "status/end", "payload": ""},
    ]
    process.kill()
    await_true(
        lambda: "is the broker running?" in unmet(url), "readiness says that the broker is gone"
    )
    assert logger.stop() == 0
