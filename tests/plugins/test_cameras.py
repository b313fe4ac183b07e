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


CAMERAS = [
    {"name": "door", "source": "/dev/video0"},
    {"name": "film", "source": "/srv/film.mp4", "model": "/opt/yunet.onnx"},
    {"name": "yard", "source": "rtsp://192.0.2.1/", "model": None},
]


def test_paths_are_those_of_sources_and_models():
    assert plugin.camera_paths(CAMERAS) == [
        {"camera": "door", "key": "source", "path": "/dev/video0"},
        {"camera": "film", "key": "source", "path": "/srv/film.mp4"},
        {"camera": "film", "key": "model", "path": "/opt/yunet.onnx"},
    ]
    assert plugin.camera_paths([]) == []


def test_only_a_camera_that_is_plugged_in_has_a_device():
    assert plugin.attached_devices(CAMERAS) == {"detector-door": "/dev/video0"}


def test_cameras_of_a_fleet_are_named_with_their_devices():
    devices = {"edge-1": CAMERAS[:2], "edge-2": [], "edge-3": CAMERAS[2:]}
    assert plugin.fleet_cameras(devices) == ["edge-1/door", "edge-1/film", "edge-3/yard"]


def test_each_missing_path_and_each_shared_device_has_a_sentence():
    door, film, model = plugin.camera_paths(CAMERAS)
    regular = {"exists": True, "isdir": False}
    device = {"exists": True, "ischr": True, "device_type": 0x5100}
    there = [{"item": door, "stat": device}, {"item": film, "stat": regular}]
    assert plugin.camera_problems(there) == []
    gone = [
        {"item": door, "stat": regular},  # a file is no device
        {"item": model, "stat": {"exists": False}},
    ]
    first, second = plugin.camera_problems(gone)
    assert first.startswith("The source of the camera door is /dev/video0, but this host has no")
    assert "such device: connect it" in first
    assert "The model of the camera film is /opt/yunet.onnx" in second
    assert "such file or folder" in second
    twice = [*there, {"item": {**door, "camera": "hall", "path": "/dev/video2"}, "stat": device}]
    (shared,) = plugin.camera_problems(twice)
    assert shared.startswith("These cameras have the same device: door and hall (")


PIPELINES = {
    "gate": "gstreamer:v4l2src device=/dev/video4 ! videoconvert ! appsink",
    "roof": 'gstreamer:rtspsrc location="rtsp://192.0.2.9:8554/a" protocols=tcp ! appsink',
    "test": "gstreamer:videotestsrc ! appsink",
}


def test_a_pipelines_device_and_address_are_those_of_its_camera():
    cameras = [{"name": name, "source": source} for name, source in PIPELINES.items()]
    assert plugin.camera_paths(cameras) == [
        {"camera": "gate", "key": "source", "path": "/dev/video4"}
    ]
    assert plugin.attached_devices(cameras) == {"detector-gate": "/dev/video4"}
    assert [plugin.camera_addresses(camera) for camera in cameras] == [
        [],
        ["rtsp://192.0.2.9:8554/a"],
        [],
    ]
    again = {"name": "door", "source": "/dev/video4"}
    assert plugin.shared_sources([*cameras, again]) == ["gate and door (/dev/video4)"]
    assert plugin.camera_addresses(again) == []
    assert plugin.camera_addresses(CAMERAS[2]) == ["rtsp://192.0.2.1/"]


def test_source_user_and_password_are_secrets():
    camera = {"name": "yard", "source": "rtsp://192.0.2.1/", "user": "me", "password": "@:/#"}
    assert plugin.camera_environment(camera) == {}
    assert plugin.camera_secrets(camera) == {
        "FACEFLEET_SOURCE": "rtsp://192.0.2.1/",
        "FACEFLEET_USER": "me",
        "FACEFLEET_PASSWORD": "@:/#",
    }
    assert plugin.camera_secrets(CAMERAS[0]) == {"FACEFLEET_SOURCE": "/dev/video0"}


def test_a_detector_is_told_only_what_its_camera_has():
    assert plugin.camera_environment({"name": "door"}) == {}
    camera = {"fps": 3, "min_face": None, "environment": {"FACEFLEET_WINDOW": 8}}
    assert plugin.camera_environment(camera) == {"FACEFLEET_FPS": 3, "FACEFLEET_WINDOW": 8}
    assert plugin.camera_environment(
        {
            **{"detector": "haar", "capture": "visits", "faces_per_visit": 5, "min_face": 40},
            **{"color": "color", "max_face_size": 200, "jpeg_quality": 75},
            **{"pixel_format": "MJPG", "resolution": "1280x720", "rotation": 90, "search": "every"},
            **{"include": [[[0, 0.5], [1, 0.5], [1, 1]]], "exclude": None, "faces_only": True},
            **{"schedule": ["mon-fri 07:00-19:00", "sat 08:00-12:00"]},
        }
    ) == {
        "FACEFLEET_CAPTURE": "visits",
        "FACEFLEET_COLOR": "color",
        "FACEFLEET_DETECTOR": "haar",
        "FACEFLEET_FACES_ONLY": True,
        "FACEFLEET_FACES_PER_VISIT": 5,
        "FACEFLEET_INCLUDE": "[[[0, 0.5], [1, 0.5], [1, 1]]]",
        "FACEFLEET_JPEG_QUALITY": 75,
        "FACEFLEET_MAX_FACE_SIZE": 200,
        "FACEFLEET_MIN_FACE": 40,
        "FACEFLEET_PIXEL_FORMAT": "MJPG",
        "FACEFLEET_RESOLUTION": "1280x720",
        "FACEFLEET_ROTATION": 90,
        "FACEFLEET_SCHEDULE": '["mon-fri 07:00-19:00", "sat 08:00-12:00"]',
        "FACEFLEET_SEARCH": "every",
    }
