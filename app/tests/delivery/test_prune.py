"""The ledger's lines of faces that the bucket has expired."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from facefleet.delivery.ledger import Ledger
from facefleet.delivery.outbox import LEDGER_DAYS, Outbox


def test_only_old_and_settled_lines_are_forgotten(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    outbox = Outbox(tmp_path / "front.sqlite", "edge-1", "front", 1 << 20)
    ages = (LEDGER_DAYS + 2, LEDGER_DAYS + 1, LEDGER_DAYS - 1, 0)
    names, _ = outbox.add([(now - timedelta(days=age), b"jpeg %d" % age) for age in ages])
    outbox.settle([(name.seq, name.tag) for name in (names[0], names[2])])
    before = outbox.counts
    assert outbox.prune() == 1
    assert outbox.prune() == 0
    ledger = Ledger(outbox.path)
    assert ledger.snapshot(now - timedelta(days=100)) == before
    assert [name.seq for name, _ in ledger.rows()] == [2, 3, 4]
    outbox.close()
