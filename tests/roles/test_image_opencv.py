"""Which OpenCV the detector's image gets."""

import pytest

from support.role_variables import RoleVariables

ROLE = RoleVariables("app_image")
PIPELINE = {"name": "gate", "source": "gstreamer:videotestsrc ! appsink"}
DEVICE = {"name": "door", "source": "/dev/video0"}
SENTENCE = (
    "The source of the camera gate is a GStreamer pipeline, but the app's own OpenCV has no "
    "GStreamer: set app_image_opencv_packages (docs/cameras.md), or use another source."
)


def problems(cameras=(), **variables):
    host = {"app_image_targets": ["detector"], "app_image_tag": "0123456789ab"}
    return ROLE.value(
        "__app_image_problems",
        **{**host, "inventory_hostname": "jetson-1", "ansible_connection": "local"},
        **{"__app_image_k3s_images": {"rc": 0, "stdout": ""}},
        **{"__app_image_store": {"machine": "aarch64", "free_bytes": 10**12}},
        **{"__app_image_docker_store": {"machine": "aarch64", "free_bytes": 10**12}},
        **{"facefleet_cameras": list(cameras), "groups": {"all": ["jetson-1"]}, **variables},
    )


@pytest.mark.parametrize(
    ("cameras", "variables", "expected"),
    [
        ([DEVICE], {}, []),
        ([DEVICE, PIPELINE], {}, [SENTENCE]),
        ([PIPELINE], {"app_image_opencv_packages": ["libopencv-python"]}, []),
        (
            [DEVICE],
            {"app_image_opencv_packages": ["python3-opencv", "cv2; reboot"]},
            [
                "app_image_opencv_packages contains cv2; reboot, which is not the name of a Debian "
                "package: correct it."
            ],
        ),
    ],
)
def test_a_pipeline_needs_an_opencv_with_gstreamer(cameras, variables, expected):
    assert problems(cameras, **variables) == expected


def test_another_opencv_makes_other_images():
    tags = {
        ROLE.value("__app_image_inputs", app_image_base=base, app_image_opencv_packages=packages)
        for base in ("debian:12-slim", "debian:13-slim")
        for packages in ([], ["python3-opencv", "opencv-data"])
    }
    assert tags == {
        "debian:12-slim",
        "debian:13-slim",
        "debian:12-slim python3-opencv opencv-data",
        "debian:13-slim python3-opencv opencv-data",
    }
    assert "__app_image_inputs" in ROLE.raw("__app_image_tag")
