"""A camera that is plugged in is one detector's."""

import cameras as plugin


def test_cameras_of_one_device_file_are_named():
    sources = {
        "door": "/dev/video0",
        "yard": "/dev/video0",
        "hall": "/dev/video2",
        "gate": "rtsp://192.0.2.1/",
        "back": "rtsp://192.0.2.1/",  # a stream has room for two
    }
    cameras = [{"name": name, "source": source} for name, source in sources.items()]
    assert plugin.shared_sources(cameras) == ["door and yard (/dev/video0)"]


def test_links_to_one_device_are_seen():
    def result(camera, number):
        stat = {"ischr": True, "device_type": number}
        return {"item": {"camera": camera, "key": "source", "path": camera}, "stat": stat}

    results = [result("door", 0x5100), result("yard", 0x5100), result("hall", 0x5102)]
    results.append({"item": {"camera": "odd"}, "stat": {"ischr": True, "device_type": "{{ 1 }}"}})
    results.append({"item": {"camera": "none"}, "failed": True})
    (said,) = plugin.shared_devices(results)
    assert said.startswith("door and yard (/dev")
