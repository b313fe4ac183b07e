"""A connection to a real broker that goes away, comes back, and says no."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing, suppress

import pytest
from facefleet.mqtt import Connection, Will
from pydantic import AnyUrl

from lab.listener import Listener
from lab.rig import BIN, ROOT, Process, Rig, await_true, free_port, listens


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

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            await talk(reader, writer)

    async with await asyncio.start_server(once, "127.0.0.1", 0) as listening:
        yield listening.sockets[0].getsockname()[1]


async def until(what: Callable[[], object], seconds: float = 20) -> None:
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
from facefleet.mqtt import Connection, Will
from facefleet import telemetry
from pydantic import AnyUrl

connection = Connection(
    AnyUrl(sys.argv[1]), "dying", will=Will("test/will", b"gone"),
    on_up=lambda: connection.publish("test/up", b""),
)
asyncio.run(telemetry.until_terminated(connection.run(), telemetry.Health()))
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
        child.wait(5)
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
            await until(lambda: client.downs, 25)
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
