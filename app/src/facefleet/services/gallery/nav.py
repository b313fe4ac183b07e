"""Choose which devices and cameras a page offers, and whose faces it shows. All are bounded."""

from dataclasses import dataclass

from facefleet.services.gallery.cameras import CAMERAS_PER_PAGE, Cameras, in_turn
from facefleet.services.gallery.listing import Camera

CHIPS = 12
"""Cameras shown next to their device. The device's page has the others."""


@dataclass(frozen=True, slots=True)
class Device:
    """A device on offer, some of its cameras, and the number of its other cameras."""

    name: str
    cameras: list[Camera]
    more: int = 0


@dataclass(frozen=True, slots=True)
class Nav:
    devices: list[Device]
    shown: list[Camera]
    """The cameras whose faces are on the page."""
    is_whole: bool = True
    """Whether `shown` has all cameras of the selection, so that older faces can be offered."""
    page: int = 1
    pages: int = 1


def choose(cameras: Cameras, chosen: dict[str, str], page: int) -> Nav:
    """Return the navigation for a device, a device's camera, or all. Raises BucketError."""
    if "camera" in chosen:
        return _of_camera(cameras, Camera(chosen["device"], chosen["camera"]))
    if "device" in chosen:
        return _of_device(cameras, chosen["device"], page)
    return _of_all(cameras, page)


def _of_all(cameras: Cameras, page: int) -> Nav:
    names = cameras.devices()
    pages = _pages(len(names))
    here = _part(names, page)
    if pages == 1:
        each = cameras.of_each(here)
        shown = in_turn(each)
        devices = [
            Device(name, of_it[:CHIPS], len(of_it[CHIPS:]))
            for name, of_it in zip(here, each, strict=True)
        ]
        return Nav(devices, shown, len(shown) == sum(map(len, each)))
    latest = in_turn(cameras.latest()) if page == 1 else []
    if len(latest) < CAMERAS_PER_PAGE:
        each = cameras.of_each(here)
        shown = in_turn([*([camera] for camera in latest), *each])
        is_whole = page > 1 and len(shown) == sum(map(len, each))
    else:
        shown, is_whole = latest, False
    return Nav([Device(name, []) for name in here], shown, is_whole, page, pages)


def _of_device(cameras: Cameras, device: str, page: int) -> Nav:
    every = cameras.of(device)
    here = _part(every, page)
    return Nav([Device(device, here)], here, page=page, pages=_pages(len(every)))


def _of_camera(cameras: Cameras, camera: Camera) -> Nav:
    every = cameras.of(camera.device)
    page = every.index(camera) // CAMERAS_PER_PAGE + 1 if camera in every else 1
    device = Device(camera.device, _part(every, page))
    return Nav([device], [camera], page=page, pages=_pages(len(every)))


def _pages(count: int) -> int:
    return max(1, -(-count // CAMERAS_PER_PAGE))


def _part(names: list, page: int) -> list:
    return names[(page - 1) * CAMERAS_PER_PAGE : page * CAMERAS_PER_PAGE]
