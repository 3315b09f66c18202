"""Signing keys in their file: who may read it, rotation, what is published, what is refused."""

import json
import stat
from pathlib import Path

import pytest
from joserfc.jwk import OctKey, OKPKey, RSAKey

from adapters.security.keys import (
    KeyFile,
    KeysInvalid,
    SigningAlgorithm,
    create_keys,
    read_public_keys,
    rotate_keys,
    withdraw_key,
)


def test_keys_are_made_once_and_readable_by_the_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "home" / "keys.json"
    first = create_keys(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert create_keys(path).key_ids == first.key_ids
    assert [file.name for file in path.parent.iterdir()] == ["keys.json"]


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256"])
def test_the_published_set_has_no_private_part(tmp_path: Path, algorithm: SigningAlgorithm) -> None:
    keys = create_keys(tmp_path / "keys.json", algorithm)
    (published,) = keys.public_jwks()["keys"]
    assert published["alg"] == algorithm
    assert published["use"] == "sig"
    assert published["kid"] == keys.key_ids[0]
    assert "d" not in published
    assert "d" in json.loads(keys.path.read_text())["keys"][0]


def test_a_rotation_puts_a_new_key_first_and_keeps_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    old = create_keys(path)
    rotated = rotate_keys(path, "ES256")
    assert len(rotated.key_ids) == 2
    assert rotated.key_ids[1:] == old.key_ids
    assert rotated.signing_key.kid == rotated.key_ids[0]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_running_process_finds_the_key_of_a_later_rotation(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    running = create_keys(path)
    new = rotate_keys(path).key_ids[0]
    assert running.find(new) is not None
    assert new in [key["kid"] for key in running.public_jwks()["keys"]]


def test_a_running_process_signs_with_the_new_key_and_forgets_a_withdrawn_one(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    running = create_keys(path)
    (old,) = running.key_ids
    new = rotate_keys(path).key_ids[0]
    assert running.signing_key.kid == new
    assert running.find(old) is not None
    withdraw_key(path, old)
    assert running.find(old) is None
    assert running.key_ids == [new]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_key_that_signs_is_not_withdrawn(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    (only,) = create_keys(path).key_ids
    for key_id in (only, "other"):
        with pytest.raises(KeysInvalid, match=key_id):
            withdraw_key(path, key_id)
    assert KeyFile(path).key_ids == [only]


def test_a_file_that_was_spoilt_leaves_a_running_process_its_keys(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keys = create_keys(tmp_path / "keys.json")
    keys.path.write_text("{")
    assert keys.find(keys.key_ids[0]) is not None
    assert keys.signing_key.kid == keys.key_ids[0]
    assert [record.message for record in caplog.records] == ["signing_keys_not_read"]


def test_a_removed_file_leaves_a_running_process_its_keys(tmp_path: Path) -> None:
    keys = create_keys(tmp_path / "keys.json")
    keys.path.unlink()
    assert keys.find(keys.key_ids[0]) is not None
    assert keys.find("other") is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("not json", "is not JSON"),
        ("[]", "is not a JWK set"),
        ('{"keys": 3}', "is not a JWK set"),
        ('{"keys": []}', "cannot be used"),
        ('{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AA"}]}', "cannot be used"),
        ('{"keys": [7]}', "cannot be used"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(KeysInvalid, match=sentence) as refused:
        KeyFile(path)
    assert str(path) in str(refused.value)


def test_a_missing_file_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(KeysInvalid, match="payonce keys"):
        KeyFile(tmp_path / "keys.json")


def test_a_public_key_alone_cannot_sign(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps(create_keys(tmp_path / "other.json").public_jwks()))
    with pytest.raises(KeysInvalid, match="no private key"):
        KeyFile(path)


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_weak_and_symmetric_keys_of_a_set_are_not_accepted(tmp_path: Path) -> None:
    keys = {
        "weak": RSAKey.generate_key(1024, {"kid": "weak"}).as_dict(private=False),
        "shared": OctKey.generate_key(256, {"kid": "shared"}).as_dict(private=True),
        "encryption": RSAKey.generate_key(2048, {"kid": "encryption", "use": "enc"}).as_dict(private=False),
        "agreement": OKPKey.generate_key("X25519", {"kid": "agreement"}).as_dict(private=False),
        "good": RSAKey.generate_key(2048, {"kid": "good"}).as_dict(private=False),
    }
    text = json.dumps({"keys": list(keys.values())})
    path = tmp_path / "jwks.json"
    path.write_text(text)
    for source in (text, str(path)):
        found = {key_id for key_id in keys if read_public_keys(source).find(key_id)}
        assert found == {"good"}
