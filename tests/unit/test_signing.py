"""The key that scripts are signed with: made once, for its owner alone, and what a signature is good for."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from sluice.errors import SettingError
from sluice.host.settings import load
from sluice.host.signing import FILE_NAME, SigningKey

URI, SHA256 = "http://localhost/transform.py", "ab" * 32


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return SigningKey(tmp_path / FILE_NAME, created_by_us=True)


def test_the_key_is_made_once_and_for_its_owner_alone(key: SigningKey):
    signature = key.sign(URI, SHA256)
    assert stat.S_IMODE(key.path.stat().st_mode) == 0o600
    assert len(key.path.read_text().strip()) == 64
    assert [path.name for path in key.path.parent.iterdir()] == [FILE_NAME]
    assert SigningKey(key.path).sign(URI, SHA256) == signature  # as after a restart


def test_those_who_make_it_at_a_time_have_the_same(key: SigningKey):
    found: list[str] = []
    gate = threading.Barrier(8)

    def sign() -> None:
        gate.wait()
        found.append(key.sign(URI, SHA256))

    threads = [threading.Thread(target=sign) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_a_signature_is_good_for_one_uri_and_one_script(key: SigningKey):
    signature = key.sign(URI, SHA256)
    assert key.verify(signature, URI, SHA256)
    assert not key.verify(signature, URI + "?", SHA256)
    assert not key.verify(signature, URI, "ac" + SHA256[2:])
    assert not key.verify("", URI, SHA256)
    assert not key.verify("é", URI, SHA256)


def test_another_key_gives_another_signature(key: SigningKey, tmp_path: Path):
    (tmp_path / "other").mkdir()
    other = SigningKey(tmp_path / "other" / FILE_NAME, created_by_us=True)
    assert not other.verify(other.sign(URI, SHA256)[::-1], URI, SHA256)
    assert not other.verify(key.sign(URI, SHA256), URI, SHA256)


def test_to_verify_makes_no_key(key: SigningKey):
    with pytest.raises(FileNotFoundError):
        key.verify("", URI, SHA256)
    assert not key.path.exists()


def test_a_key_that_is_given_is_not_made_and_not_short(tmp_path: Path):
    path = tmp_path / "cluster.key"
    with pytest.raises(SettingError, match="SLUICE_SIGNING_KEY_FILE has an invalid value: No such file"):
        load({"SLUICE_SIGNING_KEY_FILE": str(path)}, {})
    path.write_text("s3cret\n")
    with pytest.raises(SettingError, match="it holds 6 bytes, and a key has 32 or more") as caught:
        load({"SLUICE_SIGNING_KEY_FILE": str(path)}, {})
    assert "s3cret" not in str(caught.value)
    path.write_text("k" * 32)
    settings = load({"SLUICE_SIGNING_KEY_FILE": str(path)}, {"data-directory": "/elsewhere"})
    assert settings.signing_key_file == SigningKey(path)
    assert settings.as_variables()["SLUICE_SIGNING_KEY_FILE"] == str(path)


@pytest.mark.parametrize("key", [b"\n" + b"\xff" * 31, b"\xff" * 31 + b" ", b"\t" + b"\xff" * 30 + b"\n"])
def test_a_key_of_random_bytes_is_not_shorter_for_looking_like_a_text_with_blanks(tmp_path: Path, key: bytes):
    path = tmp_path / "cluster.key"
    path.write_bytes(key)
    signature = load({"SLUICE_SIGNING_KEY_FILE": str(path)}, {}).signing_key_file.sign(URI, SHA256)
    path.write_bytes(key.strip() * 2)
    assert not SigningKey(path).verify(signature, URI, SHA256)
    path.write_bytes(b" " * 40)
    with pytest.raises(ValueError, match="it holds 0 bytes"):
        SigningKey(path).sign(URI, SHA256)


def test_without_a_setting_it_is_in_the_data_directory():
    assert load({}, {"data-directory": "/data"}).signing_key_file == SigningKey(Path("/data", FILE_NAME), True)
