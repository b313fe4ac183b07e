"""Fixtures: real brokers, a real S3 server and the services as processes."""

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from support.rig import Rig

# How long an example takes says more of the machine than of the code.
hypothesis.settings.register_profile("facefleet", deadline=None)
hypothesis.settings.load_profile("facefleet")


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path) as rig:
        yield rig
