"""Each service starts with no more packages than the layers of its image install (Dockerfile)."""

import os
import re
import subprocess
import sys
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path
from pkgutil import iter_modules

import pytest
from facefleet import services

APP = Path(__file__).parent.parent
SERVICES = [module.name.replace("_", "-") for module in iter_modules(services.__path__)]
TOOLS = {"detector": ("outbox", "verify"), "processor": ("audit", "erase", "status")}
IMPORT = """
import importlib, sys
absent, modules = (set(names.split(",")) for names in sys.argv[1:])
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"no {name} in this image")
sys.meta_path.insert(0, Absent())
for module in modules:
    importlib.import_module(module)
"""


def locked(stage: str) -> set[str]:
    """The distributions that the layers of a stage install, by their normalized names."""
    stages = re.split(r"^FROM ", (APP / "Dockerfile").read_text(), flags=re.MULTILINE)[1:]
    text = next((text for text in stages if re.match(rf"\S+ AS {stage}\s", text)), "")
    below = re.findall(r"^(\S+) AS|--from=(\S+)", text)
    found = {name for pair in below for name in pair if name} - {"app"}
    installed = set().union(*map(locked, found)) if found else set()
    for lock in re.findall(r"^COPY locks/(\S+)", text, re.MULTILINE):
        if lock != "build.txt":
            content = (APP / "locks" / lock).read_text()
            installed |= set(re.findall(r"^([\w.-]+)==", content, re.MULTILINE))
    return installed


DISTRIBUTIONS = packages_distributions()


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_imports_only_what_its_image_has(service: str) -> None:
    present = locked(service) | {"facefleet"}
    absent = {
        package
        for package, distributions in DISTRIBUTIONS.items()
        if not present & {re.sub(r"[-_.]+", "-", name).lower() for name in distributions}
    } - set(sys.stdlib_module_names)
    assert "pytest" in absent
    modules = [f"facefleet.services.{service.replace('-', '_')}"]
    modules += [f"facefleet.tools.{tool}" for tool in TOOLS.get(service, ())]
    run = subprocess.run(
        [sys.executable, "-c", IMPORT, ",".join(absent), ",".join(modules)],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr


def test_only_the_detector_has_opencv() -> None:
    having = {service for service in SERVICES if "opencv-python-headless" in locked(service)}
    assert having == {"detector"}


def test_the_wheel_has_every_file_of_the_package(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=APP,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("facefleet/")}
    written = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "facefleet"],
        cwd=APP / "src",
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    assert "facefleet/vision/models/face_detection_yunet_2023mar.onnx" in packed
    assert packed == set(written)


# -- another OpenCV ----------------------------------------------------------------------------


def chosen(packages: str) -> set[str]:
    """The distributions that the Dockerfile's awk keeps of the lock."""
    program = re.search(r"'(/\^\[a-z\]/ .*)'", (APP / "Dockerfile").read_text())[1]
    command = ["awk", "-v", f"packages={packages}", program, APP / "locks/vision.txt"]
    kept = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    names = re.findall(r"^([\w.-]+)==", kept, re.MULTILINE)
    assert len(re.findall("--hash", kept)) >= len(names)
    return set(names)


def test_with_another_opencv_the_wheels_of_opencv_and_numpy_are_left_out() -> None:
    assert chosen("") == {"numpy", "opencv-python-headless", "pillow"}
    assert chosen("libopencv-python") == {"pillow"}


@pytest.mark.parametrize(
    ("module", "sentence"),
    [
        (
            "raise ImportError('numpy.core.multiarray failed to import')",
            "cannot import cv2 (numpy.core.multiarray failed to import): set OPENCV_PACKAGES to "
            "packages that have it for this version of Python.\n",
        ),
        (
            "__version__ = '4.6.0'",
            "OpenCV 4.6.0 is too old for YuNet's model: use a base image whose OPENCV_PACKAGES "
            "have at least 4.8.\n",
        ),
        (
            "__version__ = '4.10.0'\ndef __getattr__(name): raise AttributeError('no dnn')",
            "OpenCV 4.10.0 lacks something that the detector needs: AttributeError('no dnn').\n",
        ),
    ],
)
def test_an_opencv_that_does_not_fit_ends_the_build_with_a_sentence(
    tmp_path: Path, module: str, sentence: str
) -> None:
    (tmp_path / "cv2.py").write_text(module)
    run = subprocess.run(
        [sys.executable, "-m", "facefleet.vision.opencv"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert run.stderr.endswith(sentence)
    assert run.stderr.count("\n") == 1


def test_the_opencv_of_the_locks_fits() -> None:
    command = [sys.executable, "-m", "facefleet.vision.opencv"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
