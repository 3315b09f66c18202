"""The keys of stored data: their file and their setting, and what is refused."""

import json
import stat
from base64 import b64encode
from pathlib import Path

import pytest

from adapters.security.data_keys import DataKeyFile, FixedDataKeys, add_data_key, create_data_keys
from adapters.security.keys import KeysInvalid

KEY, OTHER = b64encode(bytes(range(32))).decode(), b64encode(bytes(range(32, 64))).decode()


def test_a_key_is_made_once_and_readable_by_the_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "home" / "data-keys.json"
    first = create_data_keys(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert create_data_keys(path).key_ids == first.key_ids
    assert len(first.newest[1]) == 32


def test_a_running_process_seals_with_a_key_added_later_and_opens_with_both(tmp_path: Path) -> None:
    path = tmp_path / "data-keys.json"
    running = create_data_keys(path)
    old_id, old = running.newest
    added = add_data_key(path)
    assert running.newest == added.newest != (old_id, old)
    assert running.find(old_id) == old
    path.write_text("{")
    assert running.newest == added.newest  # what is wrong on the disk changes nothing for who runs


def test_the_setting_names_keys_newest_first() -> None:
    keys = FixedDataKeys(f"k2:{OTHER}, k1:{KEY}", "PAYONCE_DATA_KEYS")
    assert keys.newest == ("k2", bytes(range(32, 64)))
    assert keys.find("k1") == bytes(range(32))
    assert keys.find("k0") is None
    assert keys.key_ids == ["k2", "k1"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "holds no key"),
        ("k1", "key 1 must be 32 bytes"),
        (f"k1:{KEY},k1:{OTHER}", "two keys of the id k1"),
        (f"k.1:{KEY}", "the id of key 1"),
        ("k1:c2hvcnQ=", "key 1 must be 32 bytes"),
        (f"own:{KEY}", "the id of key 1"),
    ],
)
def test_a_wrong_setting_is_told_in_a_sentence_without_the_key(text: str, fault: str) -> None:
    with pytest.raises(KeysInvalid, match=fault) as refused:
        FixedDataKeys(text, "PAYONCE_DATA_KEYS")
    assert KEY not in str(refused.value)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"keys": [{"kid": "k1"}]}', '{"keys": []}', json.dumps({"keys": 1})]
)
def test_a_wrong_file_is_told_in_a_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "data-keys.json"
    path.write_text(text)
    with pytest.raises(KeysInvalid, match=str(path)):
        DataKeyFile(path)


def test_without_a_file_the_sentence_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(KeysInvalid, match=r"does not exist; `payonce keys` makes"):
        DataKeyFile(tmp_path / "none.json")
