"""`python -m benchmarks.visits`: objects and bytes of a visit, on the labelled clip."""

from facefleet.settings import DetectorSettings
from facefleet.vision.visits import BestOfVisit, EveryFace

from benchmarks.bench import print_table
from support.clip import VISITS, Captured, Clip, play

RATES = (5, 15)  # frames a second: the detector's default, and a camera's
MOST = DetectorSettings.model_fields["faces_per_visit"].default


def _row(name: str, faces: list[Captured]) -> list[str]:
    names = {visit.name for visit in VISITS}
    captured = {face.visit for face in faces} & names
    of_visit = [sum(face.visit == name for face in faces) for name in names]
    size = sum(len(face.jpeg) for face in faces)
    return [
        name,
        f"{len(captured) / len(names):.2f}",
        str(len(faces)),
        f"{len(faces) / len(names):.1f}",
        str(max(of_visit)),
        f"{size / len(names) / 1000:.1f}",
        f"{sum(face.quality for face in faces) / len(faces):.2f}",
    ]


def main() -> None:
    heading = ["recall", "objects", "a visit", "most", "KB a visit", "mean quality"]
    rows = [["", *heading]]
    for fps in RATES:
        clip = Clip(fps)
        rows.append(_row(f"{fps}/s every", play(clip, EveryFace())))
        rows.append(_row(f"{fps}/s visits", play(clip, BestOfVisit(MOST))))
    print_table(rows)


if __name__ == "__main__":
    main()
