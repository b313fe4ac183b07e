"""The device plugin of one device, and the loop that checks all devices."""

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
POLL_INTERVAL = 1.0  # seconds between checks of the devices and of the kubelet
REGISTRATION_TIMEOUT = 30.0  # seconds for the kubelet to call a plugin that has registered
RPC_TIMEOUT = 5.0  # seconds for the kubelet's response

AVAILABLE = Gauge("facefleet_device_available", "1 if the device can be allocated", ["resource"])
ALLOCATIONS = Counter(
    "facefleet_device_allocations", "Times the device was allocated to a pod", ["resource"]
)


def run(settings: DevicePluginSettings) -> None:
    """Serve the device plugins until SIGTERM. Pods keep their devices afterwards."""
    health = Health("kubelet", *settings.resources, service="device-plugin")
    serve_health(settings.http, health)
    asyncio.run(run_until_signal(_watch(settings, health), health))


async def _watch(settings: DevicePluginSettings, health: Health) -> None:
    """Check every device and keep its plugin registered with the kubelet, until cancelled."""
    plugins = [
        _Plugin(name, path, settings.kubelet, settings.dev)
        for name, path in settings.resources.items()
    ]
    try:
        while True:
            for plugin in plugins:
                health.set(plugin.name, await plugin.check())
            problems = [await plugin.ensure_registered() for plugin in plugins]
            health.set("kubelet", next(filter(None, problems), None))
            await asyncio.sleep(POLL_INTERVAL)
    finally:
        for plugin in plugins:
            await plugin.stop()


class _Plugin:
    """One resource with one device, served to the kubelet on its own socket.

    The plugin counts as registered while the kubelet has a ListAndWatch open. When the kubelet
    starts, it removes all sockets from its folder and forgets all plugins. The plugin then listens
    and registers again.
    """

    def __init__(self, name: str, path: Path, kubelet: Path, dev: Path) -> None:
        self.name = name
        self._path = path
        self._dev = dev
        self._kubelet = kubelet / "kubelet.sock"
        self._socket = kubelet / f"facefleet-{name}.sock"
        self._server: grpc.aio.Server | None = None
        self._problem: str | None = "the device has not been checked yet"
        self._checked = asyncio.Condition()
        self._watchers = 0
        self._registered: float | None = None

    async def check(self) -> str | None:
        """Check the device and report its health to the kubelet. Return the problem, if any."""
        async with self._checked:
            self._problem = devices.problem(self._path, self._dev)
            self._checked.notify_all()
        AVAILABLE.labels(self.name).set(self._problem is None)
        return self._problem

    async def ensure_registered(self) -> str | None:
        """Listen and register unless the kubelet is watching. Return the problem, if any."""
        if self._watchers:
            return None
        if self._server is None or not self._socket.is_socket():
            await self.stop()
            if problem := await self._listen():
                return problem
        waits = (
            self._registered is not None and monotonic() < self._registered + REGISTRATION_TIMEOUT
        )
        if not waits and (problem := await self._register()):
            return problem
        return f"the kubelet has registered {self.name} but does not watch it yet: wait"

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    async def _listen(self) -> str | None:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((self._methods(),))
        try:
            server.add_insecure_port(f"unix:{self._socket}")
        except RuntimeError:  # without any details
            return (
                f"cannot listen on {self._socket}: check that the folder exists, that this service "
                "may write to it, and that the path has at most 107 characters"
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
                await register(request, timeout=RPC_TIMEOUT)
            except grpc.aio.AioRpcError as error:
                return (
                    f"the kubelet does not register {self.name} at {self._kubelet} "
                    f"({error.details()}): check that k3s is running"
                )
        self._registered = monotonic()
        log.info("registered", resource=self.name)
        return None

    # -- calls of the kubelet ------------------------------------------------------------------

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
                healthy = self._problem is None
                health = api.HEALTHY if healthy else api.UNHEALTHY
                yield api.ListAndWatchResponse(devices=[{"id": self.name, "health": health}])
                async with self._checked:
                    await self._checked.wait_for(lambda: (self._problem is None) != healthy)  # noqa: B023
        finally:
            self._watchers -= 1
            self._registered = None  # a restarted kubelet has forgotten this plugin

    async def _allocate(
        self, request: api.AllocateRequest, context: grpc.aio.ServicerContext
    ) -> api.AllocateResponse:
        """Allocate the device by its path, which may be a link.

        The container runtime resolves the link on the host whenever it creates a container, so the
        next container finds a camera that has come back as another node. Inside the container, the
        path is a device node, not a link.
        """
        if problem := await self.check():
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, problem)
        ALLOCATIONS.labels(self.name).inc()
        log.info("allocated", resource=self.name, device=str(self._path))
        path = str(self._path)
        device = api.DeviceSpec(container_path=path, host_path=path, permissions="rw")
        return api.AllocateResponse(
            container_responses=[{"devices": [device]} for _ in request.container_requests]
        )
