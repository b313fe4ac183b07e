"""What a wire writes."""

import asyncio

from facefleet.wire import Wire


class Transport:
    """One that keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return False


async def _published(count: int) -> list[bytes]:
    wire, transport = Wire("id", print, print), Transport()
    wire.connection_made(transport)
    for number in range(count):
        wire.publish("status/door-1/front", b"%d" % number, qos=0, retain=False)
    await asyncio.sleep(0)
    return transport.written


def test_what_is_published_in_a_turn_is_written_at_once() -> None:
    """Each write costs 22 bytes on the wire, for a record of TLS."""
    (written,) = asyncio.run(_published(3))
    assert [written.count(b"status/door-1/front%d" % number) for number in range(3)] == [1] * 3
