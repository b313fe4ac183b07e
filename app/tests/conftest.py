"""Fixtures: real brokers, a real S3 server and the services as processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.rig import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path) as rig:
        yield rig
