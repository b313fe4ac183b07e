"""Several files are written at once, as ansible.builtin.copy would write each."""

import json

import pytest
from ansible.module_utils.testing import patch_module_args

from support.role_variables import plugin

text_files = plugin("modules", "text_files")
FILES = {"tls.crt": "a certificate\n", "ca.crt": "its authority: \u00fc\n"}


@pytest.fixture
def write(tmp_path, capsys):
    """Run the module on the folder `tmp_path`. Returns whether it changed anything."""

    def write(files, mode="0600", check=False):
        given = {
            "files": {str(tmp_path / name): text for name, text in files.items()},
            "mode": mode,
            "_ansible_check_mode": check,
        }
        with patch_module_args(given), pytest.raises(SystemExit) as ended:
            text_files.main()
        assert ended.value.code == 0
        return json.loads(capsys.readouterr().out)["changed"]

    return write


def there(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_only_what_differs_is_written(write, tmp_path):
    assert write(FILES, check=True)
    assert there(tmp_path) == {}
    assert write(FILES)
    assert there(tmp_path) == FILES
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    kept = (tmp_path / "tls.crt").stat().st_ino
    assert not write(FILES)
    assert not write(FILES, check=True)
    renewed = {**FILES, "ca.crt": "another authority\n"}
    assert write(renewed)
    assert there(tmp_path) == renewed
    assert (tmp_path / "tls.crt").stat().st_ino == kept


def test_the_mode_is_set_again(write, tmp_path):
    write(FILES)
    (tmp_path / "ca.crt").chmod(0o644)
    assert write(FILES)
    assert write(FILES, mode="0640")
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o640}


def test_another_file_of_the_folder_stays(write, tmp_path):
    (tmp_path / "tls.key").write_text("a key")
    write(FILES)
    assert there(tmp_path) == {**FILES, "tls.key": "a key"}
