"""A connection to a real broker that goes away, comes back, and says no."""

import asyncio
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from facefleet import mqtt, session
from facefleet.mqtt import Connection, Will
from pydantic import AnyUrl

from support.authority import Authority
from support.cloud import Cloud, certificate
from support.listener import Listener
from support.rig import BIN, ROOT, Process, Rig, await_true, free_port, listens


class Client:
    """A connection, and what it said."""

    def __init__(self, port: int, topic: str = "test/#", will: Will | None = None) -> None:
        self.ups = 0
        self.downs: list[str] = []
        self.heard: list[tuple[str, bytes, bool]] = []
        self.connection = Connection(
            AnyUrl(f"mqtt://127.0.0.1:{port}"),
            "",
            subscriptions=[(topic, 0)],
            on_message=lambda *message: self.heard.append(message),
            on_up=self._up,
            on_down=self.downs.append,
            will=will,
        )

    def _up(self) -> None:
        self.ups += 1


@asynccontextmanager
async def running(client: Client) -> AsyncIterator[Client]:
    task = asyncio.create_task(client.connection.run())
    try:
        yield client
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def server(talk: Callable[..., Awaitable[None]]) -> AsyncIterator[int]:
    """A server that does `talk` with each client. Yields its port."""
    talks: set[asyncio.Task] = set()

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(asyncio.current_task())
        try:
            await talk(reader, writer)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async with await asyncio.start_server(once, "127.0.0.1", 0) as listening:
        yield listening.sockets[0].getsockname()[1]
    if talks:  # the loop must not end before their connections
        await asyncio.wait(talks, timeout=10)


async def until(what: Callable[[], object], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not what():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("broker", ["mosquitto", "amqtt"])
def test_it_comes_back_after_the_broker_was_killed(rig: Rig, broker: str) -> None:
    process, port = getattr(rig, broker)("broker")

    async def story() -> None:
        async with running(Client(port)) as client:
            connection = client.connection
            assert not connection.publish("test/early", b"x")
            await until(lambda: client.ups == 1)
            assert connection.publish("test/one", b"1")
            await until(lambda: ("test/one", b"1", False) in client.heard)

            process.kill()
            await until(lambda: client.downs)
            assert not connection.is_up
            assert not connection.publish("test/lost", b"x")
            await until(lambda: "cannot connect" in client.downs[-1])

            process.start()
            await until(lambda: client.ups == 2)
            assert connection.publish("test/two", b"2")
            await until(lambda: ("test/two", b"2", False) in client.heard)
            assert not [topic for topic, *_ in client.heard if topic in ("test/early", "test/lost")]

    asyncio.run(story())


WITH_WILL = """
import asyncio, sys
from facefleet.health import Health
from facefleet.mqtt import Connection, Will
from facefleet.runtime import run_until_signal
from pydantic import AnyUrl

connection = Connection(
    AnyUrl(sys.argv[1]), "dying", will=Will("test/will", b"gone"),
    on_up=lambda: connection.publish("test/up", b""),
)
asyncio.run(run_until_signal(connection.run(), Health()))
"""


@pytest.mark.parametrize(
    ("number", "will"), [(signal.SIGKILL, [b"gone"]), (signal.SIGTERM, [])], ids=["killed", "ended"]
)
def test_the_will_is_for_who_left_without_a_word(rig: Rig, number: int, will: list[bytes]) -> None:
    _, port = rig.mosquitto("broker")
    with Listener(port, "test/#") as listener:
        child = subprocess.Popen(
            [sys.executable, "-c", WITH_WILL, f"mqtt://127.0.0.1:{port}"], cwd=ROOT
        )
        await_true(lambda: listener.on("test/up"), "it is up")
        child.send_signal(number)
        child.wait(10)
        if will:
            await_true(lambda: listener.on("test/will"), "the broker publishes the will")
        log = rig.folder / "broker.log"
        ends = "closed its connection" if will else "disconnected"
        await_true(lambda: f"dying {ends}" in log.read_text(), "the broker has noticed the end")
        listener.say("test/last", b"")
        await_true(lambda: listener.on("test/last"), "what came before has come")
        assert listener.on("test/will") == will
    with Listener(port, "test/#") as late:
        late.say("test/last", b"")
        await_true(lambda: late.on("test/last"), "what is retained has come")
        assert late.retained("test/will") == will


def test_a_refused_connection_is_told(rig: Rig) -> None:
    passwords = rig.folder / "passwords"
    passwords.write_text("")
    _, port = rig.mosquitto("broker", more=f"password_file {passwords}\nallow_anonymous false\n")

    async def story() -> None:
        async with running(Client(port)) as client:
            await until(lambda: client.downs)
            assert "refuses the connection (Not authorized)" in client.downs[0]
            assert client.ups == 0
            assert not client.connection.is_up

    asyncio.run(story())


def test_a_refused_subscription_is_told(rig: Rig) -> None:
    port = free_port()
    config = rig.folder / "strict.yaml"
    config.write_text(
        f"listeners:\n  default:\n    type: tcp\n    bind: 127.0.0.1:{port}\n"
        "plugins:\n"
        "  amqtt.plugins.authentication.AnonymousAuthPlugin:\n    allow_anonymous: true\n"
        "  amqtt.plugins.topic_checking.TopicAccessControlListPlugin:\n"
        "    acl:\n      anonymous: ['open/#']\n"
    )
    broker = Process("strict", [str(BIN / "amqtt"), "-c", str(config)], rig.folder)
    rig.processes.append(broker.start())  # Mosquitto grants what it then does not send
    await_true(lambda: listens(port), "the broker listens")

    async def story() -> None:
        async with running(Client(port)) as client:
            await until(lambda: client.downs)
            assert "refuses a subscription" in client.downs[0]
            assert client.ups == 0

    asyncio.run(story())


def test_a_broker_that_never_answers_is_given_up() -> None:
    async def story() -> None:
        async def say_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            await reader.read()

        async with server(say_nothing) as port, running(Client(port)) as client:
            await until(lambda: client.downs)
            assert f"the connection to 127.0.0.1:{port} ended" in client.downs[0]
            assert client.ups == 0

    asyncio.run(story())


def test_a_server_that_is_no_broker_is_told() -> None:
    async def story() -> None:
        async def speak_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(10)
            writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n" + bytes(200))
            await writer.drain()

        async with server(speak_http) as port, running(Client(port)) as client:
            await until(lambda: len(client.downs) > 1)
            assert client.ups == 0

    asyncio.run(story())


@pytest.mark.parametrize("where", ["on_message", "on_up"])
def test_a_defect_in_a_callback_is_not_swallowed(rig: Rig, where: str) -> None:
    _, port = rig.mosquitto("broker")

    def defect(*_: object) -> None:
        raise ZeroDivisionError

    async def story() -> None:
        connection = Connection(
            AnyUrl(f"mqtt://127.0.0.1:{port}"),
            "",
            subscriptions=[("test/#", 0)],
            on_message=defect if where == "on_message" else lambda *_: None,
            on_up=defect if where == "on_up" else lambda: connection.publish("test/x", b""),
        )
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(connection.run(), 10)

    asyncio.run(story())


def test_a_topic_that_is_not_text_is_passed_over() -> None:
    async def story() -> None:
        async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1000)
            writer.write(b"\x20\x02\x00\x00")  # CONNACK
            request = await reader.read(1000)
            writer.write(b"\x90\x03" + request[2:4] + b"\x00")  # SUBACK
            writer.write(b"\x30\x05\x00\x02\xff\xfeX\x30\x04\x00\x01tY")  # two PUBLISHes
            await writer.drain()
            await reader.read()

        async with server(speak) as port, running(Client(port)) as client:
            await until(lambda: client.heard)
            assert client.heard == [("t", b"Y", False)]

    asyncio.run(story())


def test_what_was_retained_comes_again(rig: Rig) -> None:
    _, port = rig.mosquitto("broker")
    with Listener(port, "none") as listener:
        listener.say("test/kept", b"k", retain=True)

    async def story() -> None:
        async with running(Client(port)) as client:
            await until(lambda: client.heard == [("test/kept", b"k", True)])
            client.connection.retained("test/#")
            await until(lambda: client.heard == [("test/kept", b"k", True)] * 2)

    asyncio.run(story())


# -- bad links -------------------------------------------------------------------------------------


@asynccontextmanager
async def slow_link(to: int, seconds: float) -> AsyncIterator[int]:
    """A port that leads to another one, and takes so long each way. Yields it."""
    loop = asyncio.get_running_loop()
    pumps: set[asyncio.Task] = set()
    writers: list[asyncio.StreamWriter] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                loop.call_later(
                    seconds, lambda data=data: writer.is_closing() or writer.write(data)
                )
        loop.call_later(seconds, writer.close)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        there = await asyncio.open_connection("127.0.0.1", to)
        writers.append(there[1])
        pumps.update(
            (
                asyncio.create_task(pump(reader, there[1])),
                asyncio.create_task(pump(there[0], writer)),
            )
        )

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as listening:
        try:
            yield listening.sockets[0].getsockname()[1]
        finally:
            for task in pumps:
                task.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for writer in writers:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()


def test_tls_over_a_slow_link_gets_the_time_that_it_needs(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority("ours")
    cloud = Cloud(rig, authority)
    folder = certificate(rig.folder / "edge-1", authority, "edge-1")
    monkeypatch.setattr(session, "MIN_TIMEOUT", 0.2)

    async def story() -> None:
        async with slow_link(cloud.port, 0.5) as port:
            client = Client(port, "receipts/edge-1/#")
            client.connection = Connection(
                AnyUrl(f"mqtts://127.0.0.1:{port}"),
                "edge-1",
                on_up=client._up,
                on_down=client.downs.append,
                tls=folder,
            )
            async with running(client):
                await until(lambda: client.ups)
        assert all(down.startswith("cannot connect to") for down in client.downs)
        assert "(TLS took more than" in "".join(client.downs)
        waited = [float(re.search(r"took more than (\S+) s", down)[1]) for down in client.downs]
        assert waited == sorted(set(waited))

    asyncio.run(story())


@pytest.mark.parametrize(
    "error", [TimeoutError(), ConnectionResetError(), OSError(), OSError(113, "No route to host")]
)
def test_a_reason_is_never_empty(error: OSError) -> None:
    assert session._reason(error).strip()


async def grant(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A broker's part, up to the subscription."""
    await reader.readexactly(2 + (await reader.readexactly(2))[1] - 2)
    writer.write(b"\x20\x02\x00\x00")  # CONNACK
    head = await reader.readexactly(2)
    request = await reader.readexactly(head[1])
    writer.write(b"\x90\x03" + request[:2] + b"\x00")  # SUBACK
    await writer.drain()


@pytest.mark.parametrize("idle", [1, 1000])
def test_a_link_that_swallows_everything_is_given_up(
    idle: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a ping if the link is idle, and otherwise once something was sent."""
    monkeypatch.setattr(session, "KEEPALIVE", 1)
    monkeypatch.setattr(session, "IDLE", idle)
    monkeypatch.setattr(mqtt, "FIRST_DELAY", 60)  # no connection is being made at the end

    async def story() -> None:
        async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await grant(reader, writer)
            while await reader.read(100):
                pass

        async with server(swallow) as port, running(Client(port)) as client:
            await until(lambda: client.ups)
            if idle > 1:
                assert client.connection.publish("status/edge-1", b"on")
            await until(lambda: client.downs)
            assert "no response for" in client.downs[0]

    asyncio.run(story())


def test_an_idle_link_carries_few_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "KEEPALIVE", 1)
    monkeypatch.setattr(session, "IDLE", 3)
    pings: list[float] = []

    async def story() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await grant(reader, writer)
            while packet := await reader.read(2):
                if packet == b"\xc0\x00":
                    pings.append(asyncio.get_running_loop().time())
                    writer.write(b"\xd0\x00")
            writer.close()

        async with server(answer) as port, running(Client(port)) as client:
            await until(lambda: len(pings) == 3)
            assert client.downs == []

    asyncio.run(story())
    assert pings[2] - pings[0] > 5


def test_who_only_listens_pings_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker ends a connection on which it hears nothing, whatever it sends itself."""
    monkeypatch.setattr(session, "IDLE", 2)
    pinged = ended = False

    async def story() -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal pinged, ended
            await grant(reader, writer)
            ping = asyncio.create_task(reader.readexactly(2))
            while not ping.done():
                writer.write(b"\x30\x05\x00\x01tok")  # PUBLISH
                await asyncio.sleep(0.2)
            pinged = await ping == b"\xc0\x00"
            await reader.read()
            writer.close()
            await writer.wait_closed()
            ended = True

        async with server(talk) as port, running(Client(port)) as client:
            await until(lambda: pinged)
            assert client.heard
        await until(lambda: ended)

    asyncio.run(story())


def test_an_answer_that_takes_long_over_an_idle_link_causes_no_ping(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A ping would cost as much as the status that is answered, once a minute."""
    monkeypatch.setattr(session, "KEEPALIVE", 6)
    received: list[bytes] = []
    ended = False

    async def story() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal ended
            await grant(reader, writer)
            head = await reader.readexactly(2)
            received.append(await reader.readexactly(head[1]))
            await asyncio.sleep(1.5)  # half of what calls for a ping
            writer.write(b"\x40\x02" + received[0][-4:-2])  # PUBACK
            writer.write(b"\x30\x05\x00\x01tok")  # PUBLISH
            received.append(await reader.read())
            writer.close()
            await writer.wait_closed()
            ended = True

        async with server(answer) as port, running(Client(port)) as client:
            await until(lambda: client.ups)
            await asyncio.sleep(3.5)  # longer than that
            assert client.connection.publish("status/edge-1", b"on", qos=1)
            await until(lambda: client.heard)  # with unread data, it would end by a reset
        await until(lambda: ended)

    asyncio.run(story())
    assert received[1] == b"\xe0\x00"  # DISCONNECT


def test_a_link_that_is_slow_and_moves_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers wait behind what is being sent: that the network takes it is a sign of life."""
    monkeypatch.setattr(session, "KEEPALIVE", 1)
    taken = 0

    async def story() -> None:
        async def take_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal taken
            await grant(reader, writer)
            while data := await reader.read(1 << 17):
                taken += len(data)
                await asyncio.sleep(0.02)

        async with server(take_slowly) as port, running(Client(port)) as client:
            await until(lambda: client.ups)
            for _ in range(30):
                assert client.connection.publish("test/large", bytes(1 << 20))
            before = taken
            await until(lambda: taken - before > 24 << 20)
            assert client.downs == []

    asyncio.run(story())


def test_a_broker_is_reached_by_ipv6(rig: Rig) -> None:
    port = free_port()
    rig.mosquitto("broker", more=f"listener {port} ::1\n")

    async def story() -> None:
        client = Client(port)
        client.connection = Connection(
            AnyUrl(f"mqtt://[::1]:{port}"), "", on_up=client._up, on_down=client.downs.append
        )
        async with running(client):
            await until(lambda: client.ups)
            rig.processes[-1].kill()
            await until(lambda: client.downs)
            assert f"[::1]:{port}" in client.downs[0]

    asyncio.run(story())


# -- other clients ---------------------------------------------------------------------------------


def test_two_clients_of_one_name_are_told_and_yield(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, port = rig.mosquitto("broker")
    monkeypatch.setattr(mqtt, "FIRST_DELAY", 0.05)

    async def story() -> None:
        twins = [Client(port), Client(port)]
        for twin in twins:
            twin.connection._client_id = "edge-1"
        async with running(twins[0]), running(twins[1]):
            await until(lambda: any("uses the name edge-1" in d for t in twins for d in t.downs))
            await until(lambda: all(twin.downs for twin in twins))
            downs = next(
                t.downs for t in twins if any("uses the name edge-1" in d for d in t.downs)
            )
            began, before = time.monotonic(), len(downs)
            await until(lambda: len(downs) >= before + 4)
            # Its pauses double, from twice the first one, and are half as long at random.
            assert time.monotonic() - began >= 0.05 * (1 + 2 + 4 + 8) - 0.01

    asyncio.run(story())


def test_a_broker_that_comes_back_is_not_taken_for_another_client(rig: Rig) -> None:
    broker, port = rig.mosquitto("broker")

    async def story() -> None:
        async with running(Client(port)) as client:
            for times in range(1, 6):
                await until(lambda times=times: client.ups == times)
                broker.kill()
                await until(lambda times=times: len(client.downs) >= times)
                broker.start()
            assert "uses the name" not in "".join(client.downs)

    asyncio.run(story())


def test_what_amqtt_sends_without_a_subscription_is_passed_over(rig: Rig) -> None:
    """To who connects it sends what is retained for the subscriptions of all."""
    _, port = rig.amqtt("broker")
    with Listener(port, "status/#") as other:
        other.say("status/edge-1/front", b"online", retain=True)

        async def story() -> None:
            async with running(Client(port, "receipts/#")) as client:
                await until(lambda: client.ups)
                assert client.connection.publish("receipts/edge-1/front", b"stored")
                await until(lambda: client.heard)
                assert client.heard == [("receipts/edge-1/front", b"stored", False)]

        asyncio.run(story())
