"""One device as the kubelet sees it, and the loop that looks at all of them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic

import grpc
from prometheus_client import Counter, Gauge

from facefleet.health import Health, serve_health
from facefleet.logging import log
from facefleet.runtime import run_until_signal
from facefleet.services.device_plugin import api, devices
from facefleet.settings import DevicePluginSettings

DOMAIN = "facefleet.local"
LOOK = 1.0  # seconds between looks at the devices and at the kubelet
PATIENCE = 30.0  # seconds for the kubelet to come back to who has registered
ANSWER = 5.0  # seconds for its answer

AVAILABLE = Gauge("facefleet_device_available", "1 where a device can be allocated", ["resource"])
ALLOCATIONS = Counter(
    "facefleet_device_allocations", "Times a device was given to a pod", ["resource"]
)


def run(settings: DevicePluginSettings) -> None:
    """Run until SIGTERM. Pods keep the devices that they have."""
    health = Health("kubelet", *settings.resources, service="device-plugin")
    serve_health(settings.http, health)
    asyncio.run(run_until_signal(_watch(settings, health), health))


async def _watch(settings: DevicePluginSettings, health: Health) -> None:
    """Look at every device, and keep each one's plugin known to the kubelet, until cancelled."""
    plugins = [
        _Plugin(name, path, settings.kubelet, settings.dev)
        for name, path in settings.resources.items()
    ]
    try:
        while True:
            for plugin in plugins:
                health.set(plugin.name, await plugin.look())
            problems = [await plugin.join() for plugin in plugins]
            health.set("kubelet", next(filter(None, problems), None))
            await asyncio.sleep(LOOK)
    finally:
        for plugin in plugins:
            await plugin.stop()


class _Plugin:
    """One resource with one device, served to the kubelet on a socket of its own.

    It is known to the kubelet while that has a ListAndWatch open. A kubelet that starts removes
    the sockets of its folder, and knows nobody: the plugin listens and registers again.
    """

    def __init__(self, name: str, path: Path, kubelet: Path, dev: Path) -> None:
        self.name = name
        self._path = path
        self._dev = dev
        self._kubelet = kubelet / "kubelet.sock"
        self._socket = kubelet / f"facefleet-{name}.sock"
        self._server: grpc.aio.Server | None = None
        self._problem: str | None = "it has not been looked for yet"
        self._looked = asyncio.Condition()
        self._watchers = 0
        self._registered: float | None = None

    async def look(self) -> str | None:
        """See whether the device is there, and tell the kubelet. Returns what is wrong."""
        async with self._looked:
            self._problem = devices.problem(self._path, self._dev)
            self._looked.notify_all()
        AVAILABLE.labels(self.name).set(self._problem is None)
        return self._problem

    async def join(self) -> str | None:
        """See that the kubelet looks at it. Returns what is in the way."""
        if self._watchers:
            return None
        if self._server is None or not self._socket.is_socket():
            await self.stop()
            if problem := await self._listen():
                return problem
        asked = self._registered is not None and monotonic() < self._registered + PATIENCE
        if not asked and (problem := await self._register()):
            return problem
        return f"the kubelet knows of {self.name}, and has not looked at it yet: wait"

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    async def _listen(self) -> str | None:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((self._methods(),))
        try:
            server.add_insecure_port(f"unix:{self._socket}")
        except RuntimeError:  # it says no more than that
            return (
                f"cannot listen on {self._socket}: have a folder there that this service may "
                "write to, of a short path (a socket's has at most 107 characters)"
            )
        await server.start()
        self._server = server
        self._registered = None
        return None

    async def _register(self) -> str | None:
        request = api.RegisterRequest(
            version=api.VERSION,
            endpoint=self._socket.name,
            resource_name=f"{DOMAIN}/{self.name}",
            options=api.DevicePluginOptions(),
        )
        async with grpc.aio.insecure_channel(f"unix:{self._kubelet}") as channel:
            register = channel.unary_unary(
                f"/{api.REGISTRATION}/Register",
                request_serializer=api.RegisterRequest.serialize,
                response_deserializer=api.Empty.deserialize,
            )
            try:
                await register(request, timeout=ANSWER)
            except grpc.aio.AioRpcError as error:
                return (
                    f"the kubelet does not register {self.name} at {self._kubelet} "
                    f"({error.details()}): see that k3s runs"
                )
        self._registered = monotonic()
        log.info("registered", resource=self.name)
        return None

    # -- what the kubelet asks -----------------------------------------------------------------

    def _methods(self) -> grpc.GenericRpcHandler:
        def unary(answer: object, request: type, response: type) -> grpc.RpcMethodHandler:
            return grpc.unary_unary_rpc_method_handler(
                answer, request.deserialize, response.serialize
            )

        return grpc.method_handlers_generic_handler(
            api.DEVICE_PLUGIN,
            {
                "GetDevicePluginOptions": unary(self._options, api.Empty, api.DevicePluginOptions),
                "ListAndWatch": grpc.unary_stream_rpc_method_handler(
                    self._list_and_watch,
                    api.Empty.deserialize,
                    api.ListAndWatchResponse.serialize,
                ),
                "Allocate": unary(self._allocate, api.AllocateRequest, api.AllocateResponse),
            },
        )

    async def _options(
        self, _request: api.Empty, _context: grpc.aio.ServicerContext
    ) -> api.DevicePluginOptions:
        return api.DevicePluginOptions()

    async def _list_and_watch(
        self, _request: api.Empty, _context: grpc.aio.ServicerContext
    ) -> AsyncIterator[api.ListAndWatchResponse]:
        self._watchers += 1
        try:
            while True:
                there = self._problem is None
                health = api.HEALTHY if there else api.UNHEALTHY
                yield api.ListAndWatchResponse(devices=[{"id": self.name, "health": health}])
                async with self._looked:
                    await self._looked.wait_for(lambda: (self._problem is None) != there)  # noqa: B023
        finally:
            self._watchers -= 1
            self._registered = None  # a kubelet that comes back does not know it

    async def _allocate(
        self, request: api.AllocateRequest, context: grpc.aio.ServicerContext
    ) -> api.AllocateResponse:
        """The device by its path, link or not: the container runtime follows it on the host.

        It does so each time it makes the container, so a camera that came back as another node is
        found by the next one. In the container there is a node of that path, and no link.
        """
        if problem := await self.look():
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, problem)
        ALLOCATIONS.labels(self.name).inc()
        log.info("handed out", resource=self.name, device=str(self._path))
        path = str(self._path)
        device = api.DeviceSpec(container_path=path, host_path=path, permissions="rw")
        return api.AllocateResponse(
            container_responses=[{"devices": [device]} for _ in request.container_requests]
        )
