"""The labelled clip: nobody's visit is missed, and few pictures of each are captured."""

import numpy as np
import pytest
from facefleet.settings import DetectorSettings
from facefleet.vision.attention import LINGER, Attention
from facefleet.vision.motion import Motion
from facefleet.vision.visits import FIRST_WITHIN, BestOfVisit, EveryFace

from support.clip import VISIBLE, VISITS, Captured, Clip, Visit, play

MOST = DetectorSettings.model_fields["faces_per_visit"].default
NAMES = {visit.name for visit in VISITS}


def by_visit(faces: list[Captured]) -> dict[str, list[Captured]]:
    return {name: [face for face in faces if face.visit == name] for name in NAMES}


@pytest.fixture(scope="module", params=[5, 10])
def clip(request: pytest.FixtureRequest) -> Clip:
    return Clip(request.param)


@pytest.fixture(scope="module")
def best(clip: Clip) -> list[Captured]:
    return play(clip, BestOfVisit(MOST))


@pytest.fixture(scope="module")
def every(clip: Clip) -> list[Captured]:
    return play(clip, EveryFace())


def test_a_frame_is_the_same_each_time(clip: Clip) -> None:
    assert np.array_equal(clip.frame(23), Clip(clip.fps).frame(23))
    assert clip.truth(23) == Clip(clip.fps).truth(23)


def test_the_detector_sees_every_visit(every: list[Captured]) -> None:
    assert {face.visit for face in every} >= NAMES


def test_no_visit_is_missed(best: list[Captured]) -> None:
    assert {face.visit for face in best} == NAMES


def test_each_visit_is_followed_as_one(best: list[Captured]) -> None:
    names = {(face.choice.visit, face.visit) for face in best}
    assert len(names) == len(NAMES) == len({name for name, _ in names})
    assert all(1 <= len(faces) <= MOST for faces in by_visit(best).values())


def test_the_first_face_is_captured_within_a_second(clip: Clip, best: list[Captured]) -> None:
    appeared: dict[str, float] = {}
    for n in range(clip.frames):
        for truth in clip.truth(n):
            if truth.visible >= VISIBLE and truth.box[3] >= 60:
                appeared.setdefault(truth.visit, n / clip.fps)
    for name, faces in by_visit(best).items():
        assert faces[0].choice.first
        assert faces[0].chosen - appeared[name] <= FIRST_WITHIN + 1 / clip.fps


def test_the_last_face_is_nearly_the_best_one(best: list[Captured], every: list[Captured]) -> None:
    captured = by_visit(best)
    for name, faces in by_visit(every).items():
        assert captured[name][-1].quality >= max(face.quality for face in faces) - 0.05


def test_a_sharp_face_follows_a_blurred_one(best: list[Captured]) -> None:
    blurred, *sharp = by_visit(best)["come near"]
    assert blurred.second < 58.5 <= sharp[0].second
    assert blurred.quality < 0.5 < sharp[0].quality


def test_a_visit_costs_less_than_a_tenth(best: list[Captured], every: list[Captured]) -> None:
    def size(faces: list[Captured]) -> int:
        return sum(len(face.jpeg) for face in faces)

    assert 10 * len(best) < len(every)
    assert 10 * size(best) < size(every)


@pytest.mark.parametrize("visit", VISITS, ids=lambda visit: visit.name)
def test_whoever_enters_a_quiet_room_is_searched_for_at_once(visit: Visit) -> None:
    clip = Clip(5, [visit])
    attention = Attention(Motion(60))
    enters = int(visit.way[0][0] * clip.fps)
    before = clip.frame(enters - 1)
    quiet = [
        attention.wants(before, cut=False, now=n / clip.fps)
        for n in range(enters - int((LINGER + 1) * clip.fps), enters)
    ]
    assert sum(quiet[-4:]) <= 1
    searched = {
        n: attention.wants(clip.frame(n), cut=False, now=n / clip.fps)
        for n in range(enters, enters + int(LINGER * clip.fps))
    }
    seen = [n for n in searched if any(face.visible >= VISIBLE for face in clip.truth(n))]
    assert seen
    assert all(searched[n] for n in seen)
