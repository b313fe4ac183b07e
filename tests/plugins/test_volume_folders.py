"""The folders of a host that a service reads, as volumes."""

import manifests


def test_a_file_is_read_from_its_folder_and_each_folder_is_one_volume():
    results = [
        {"item": "/opt/models/yunet.onnx", "stat": {"exists": True, "isdir": False}},
        {"item": "/opt/models", "stat": {"exists": True, "isdir": True}},
        {"item": "/srv/pictures", "stat": {"exists": False}},  # a dry run may not have made it
    ]
    folders = manifests.volume_folders(results, "detector-door")
    assert [folder["path"] for folder in folders] == ["/opt/models", "/srv/pictures"]
    names = [folder["name"] for folder in folders]
    assert len(set(names)) == 2
    assert all(name.startswith("detector-door-") and len(name) == 24 for name in names)
