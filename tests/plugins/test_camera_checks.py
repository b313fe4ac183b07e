"""What a detector would refuse is refused before any change."""

import camera_checks as plugin
import pytest
from facefleet.settings import DetectorSettings


@pytest.mark.parametrize(("key", "limits"), plugin.RANGES.items())
def test_a_range_is_that_of_the_detector(key, limits):
    least, most = limits
    bounds = DetectorSettings.model_fields[key].metadata
    assert [bound.ge for bound in bounds if hasattr(bound, "ge")] == [least]
    assert [bound.le for bound in bounds if hasattr(bound, "le")] == [most]
    cameras = [{"name": f"at-{value}", key: value} for value in (least - 1, least, most, most + 1)]
    assert plugin.camera_setting_problems([{"name": "plain", key: None}, *cameras]) == [
        f"The camera at-{value} has an invalid {key}: set it to a number from {least} to {most}."
        for value in (least - 1, most + 1)
    ]
