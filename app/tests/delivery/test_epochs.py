"""Which epoch a face belongs to, and what shows that another device uses an epoch."""

import pytest
from facefleet.delivery.epochs import Epochs, is_foreign

ONE = Epochs("aaaaaaaa")
THREE = Epochs("cccccccc", ((10, "aaaaaaaa"), (15, "bbbbbbbb")))
TAGS = {seq: f"{seq:08x}" for seq in range(1, 21)}


@pytest.mark.parametrize(
    ("seq", "epoch"),
    [(1, "aaaaaaaa"), (10, "aaaaaaaa"), (11, "bbbbbbbb"), (15, "bbbbbbbb"), (16, "cccccccc")],
)
def test_a_face_keeps_the_epoch_in_which_it_was_numbered(seq: int, epoch: str) -> None:
    assert THREE.of(seq) == epoch
    assert ONE.of(seq) == "aaaaaaaa"


def test_each_epoch_begins_after_the_one_before() -> None:
    assert list(THREE) == ["aaaaaaaa", "bbbbbbbb", "cccccccc"]
    assert [THREE.first(epoch) for epoch in THREE] == [1, 11, 16]
    assert ONE.first("aaaaaaaa") == 1


@pytest.mark.parametrize(
    ("epoch", "face", "foreign"),
    [
        ("cccccccc", (16, TAGS[16]), False),  # its own
        ("aaaaaaaa", (7, TAGS[7]), False),
        ("cccccccc", (16, "0badcafe"), True),  # another face of this number
        ("aaaaaaaa", (7, "0badcafe"), True),
        ("cccccccc", (21, "0badcafe"), True),  # a number that this outbox has not given yet
        ("aaaaaaaa", (16, "0badcafe"), True),  # or has given in another epoch
        ("aaaaaaaa", (16, TAGS[16]), True),
        ("cccccccc", (3, TAGS[3]), True),
        ("cccccccc", (20, "0badcafe"), False),  # its line is gone: nothing can be said
        ("dddddddd", (16, "0badcafe"), False),  # of an outbox that was replaced
    ],
)
def test_a_receipt_for_anothers_face_is_told_from_a_late_one(
    epoch: str, face: tuple[int, str], foreign: bool
) -> None:
    tags = {seq: tag for seq, tag in TAGS.items() if seq != 20}
    assert is_foreign(epoch, [face], THREE, 20, tags.get) is foreign
    assert is_foreign(epoch, [], THREE, 20, tags.get) is False
