"""The benchmark of links as a whole, in seconds: with a real tunnel, brokers, processor and S3."""

import os
import shutil
import sys

import pytest

from benchmarks.link.__main__ import main
from benchmarks.link.model import Link
from benchmarks.link.rows import Row, measure

LINK = Link(rate=4e6, round_trip=0.05, loss=0.03, buffer=0.2)
ROW = Row("", LINK, drain=8, idle=1, warm_up=1, patience=1, settle=0.5, faces=50)
WAYS = ["facefleet", "bridge, QoS 1"]


@pytest.mark.timeout(300)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may create namespaces and TUN devices")
@pytest.mark.skipif(shutil.which("ip") is None, reason="without iproute2, no link can be created")
def test_every_way_delivers_over_the_link_and_no_faster_than_it_can() -> None:
    results = measure("test", ROW, WAYS)
    assert [result.name for result in results] == WAYS
    for result in results:
        assert (result.lost, result.twice) == (0, 0)
        assert result.captured > 50
        assert result.stored_bytes > 0
        assert result.line_lost > 0
        # Bytes count when they enter the queue, which the line has not sent at the end.
        assert 0 < result.sent <= 1 + LINK.buffer / result.seconds
        assert result.wire_up > result.wire_down > 0


def test_who_is_not_root_is_told_why_that_is_needed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "argv", ["benchmarks.link"])
    with pytest.raises(SystemExit):
        main()
    assert "run it as root, who alone may create network namespaces" in capsys.readouterr().err
