"""What is read of a machine, from files as kernels write them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from facefleet import readings

from support.authority import Authority

MEMINFO = "MemTotal:        8052596 kB\nMemFree:          102400 kB\nMemAvailable:    2048000 kB\n"


def test_time_since_boot_and_memory(tmp_path: Path) -> None:
    (tmp_path / "uptime").write_text("78620.53 150000.10\n")
    (tmp_path / "meminfo").write_text(MEMINFO)
    assert readings.uptime(tmp_path) == 78620
    assert readings.memory_available(tmp_path) == 2097


def test_this_machine_has_both() -> None:
    assert readings.uptime() > 0
    assert readings.memory_available() > 0


def test_what_is_missing_is_unknown(tmp_path: Path) -> None:
    assert readings.uptime(tmp_path) is None
    assert readings.memory_available(tmp_path) is None
    assert readings.temperature(tmp_path) is None
    assert readings.certificate_end(tmp_path) is None
    assert readings.certificate_end(None) is None
    assert set(readings.deployed(None).values()) == {None}
    assert set(readings.deployed(tmp_path / "deployed.json").values()) == {None}


def test_the_hottest_sensor_counts(tmp_path: Path) -> None:
    """The sensor PMIC-Die of a Jetson Nano always reads 100 degrees; others may be switched off."""
    zones = {
        "thermal_zone0": ("CPU-therm", "51500\n"),
        "thermal_zone1": ("GPU-therm", "48000\n"),
        "thermal_zone2": ("PMIC-Die", "100000\n"),
        "thermal_zone3": ("cv0-thermal", ""),
        "thermal_zone4": ("broken", "-274000\n"),
        "cooling_device0": ("pwm-fan", "99000\n"),
    }
    for name, (kind, degrees) in zones.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "type").write_text(kind)
        (tmp_path / name / "temp").write_text(degrees)
    assert readings.temperature(tmp_path) == 52


@pytest.mark.parametrize("days", [5, 365, 365 * 30])
def test_the_end_of_a_certificate(tmp_path: Path, days: int) -> None:
    """From 2050 on, a certificate has its time in another form."""
    Authority("ours").issue(tmp_path, "edge-1", days=days)
    expected = datetime.now(UTC) + timedelta(days=days)
    assert abs(readings.certificate_end(tmp_path) - expected.timestamp()) < 7200


def test_a_damaged_certificate_is_unknown(tmp_path: Path) -> None:
    for text in ("", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "\0"):
        (tmp_path / "tls.crt").write_text(text)
        assert readings.certificate_end(tmp_path) is None


def test_the_record_of_what_runs(tmp_path: Path) -> None:
    path = tmp_path / "deployed.json"
    path.write_text('{"content": "0123456789ab", "k3s": null, "configuration": "\\u001b[2J"}')
    known = {name: value for name, value in readings.deployed(path).items() if value}
    assert known == {"content": "0123456789ab"}
    for text in ("[]", "{", "[" * 100_000):
        path.write_text(text)
        assert set(readings.deployed(path).values()) == {None}
