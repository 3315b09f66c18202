"""Signing keys: a private JWK set in a file (RFC 7517), and the public sets we verify with."""

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, KeyParameters, KeySet, OKPKey, RSAKey

logger = logging.getLogger(
    __name__
)  # the overview of the commands, which loads this module, has no use for more

SigningAlgorithm = Literal["EdDSA", "ES256"]
# NIST SP 800-131A: RSA below 2048 bits is no longer acceptable.
MIN_RSA_BITS = 2048


class KeysInvalid(Exception):
    """A key file or JWK set cannot be used. The message is one sentence that names it."""


class KeySource(Protocol):
    def find(self, key_id: str) -> Key | None:
        """The public (or private) key with this `kid`, if it is known."""
        ...


def algorithm_of(key: Key) -> str | None:
    """The one signature algorithm that we accept from this key; None where there is none.

    It follows from the kind of key alone, so that a header can never choose another use of it.
    """
    if key.get("use", "sig") != "sig":
        return None
    algorithm = None
    if isinstance(key, OKPKey) and key.curve_name == "Ed25519":
        algorithm = "EdDSA"
    elif isinstance(key, ECKey) and key.curve_name == "P-256":
        algorithm = "ES256"
    elif isinstance(key, RSAKey) and key.public_key.key_size >= MIN_RSA_BITS:
        algorithm = "RS256"
    return algorithm if key.get("alg", algorithm) == algorithm else None


class FixedKeys:
    """The public keys of a JWK set that was read once."""

    def __init__(self, keys: KeySet):
        self._keys = {key.kid: key for key in keys if algorithm_of(key)}

    def find(self, key_id: str) -> Key | None:
        return self._keys.get(key_id)


def read_public_keys(jwks: str) -> FixedKeys:
    """The keys of a JWK set, given as its JSON or as the path of a file. Raises KeysInvalid."""
    if jwks.lstrip().startswith("{"):
        return FixedKeys(_parse(jwks, "the inline JWK set"))
    path = Path(jwks)
    return FixedKeys(_parse(_read(path), str(path)))


class KeyFile:
    """Our own private keys. The first one signs, all of them verify.

    Whether the file is another one is asked at each use (a microsecond), so that neither a rotation nor
    the withdrawal of a key needs a restart.
    """

    def __init__(self, path: Path):
        self.path = path
        self._version: tuple[int, int] | None = None
        self._keys: list[Key] = []
        self._load()

    def find(self, key_id: str) -> Key | None:
        self._refresh()
        return next((key for key in self._keys if key.kid == key_id), None)

    @property
    def signing_key(self) -> Key:
        self._refresh()
        return self._keys[0]

    @property
    def key_ids(self) -> list[str]:
        """The `kid` of every key, newest first."""
        return [str(key.kid) for key in self._keys]

    def public_jwks(self) -> dict[str, Any]:
        """The set to publish at `/.well-known/jwks.json`: no private part in it."""
        self._refresh()
        return {"keys": [key.as_dict(private=False) for key in self._keys]}

    def _refresh(self) -> None:
        version = self._version_on_disk()
        if version == self._version:
            return
        try:
            self._load()
        except KeysInvalid as error:  # edited by hand, and wrong: the keys in hand go on counting
            self._version = version
            logger.warning("signing_keys_not_read", extra={"cause": str(error)})

    def _version_on_disk(self) -> tuple[int, int] | None:
        try:
            status = self.path.stat()
        except OSError:
            return self._version  # a file that is gone changes nothing for a running process
        return status.st_mtime_ns, status.st_ino

    def _load(self) -> None:
        version = self._version_on_disk()
        keys = [key for key in _parse(_read(self.path), str(self.path)) if algorithm_of(key)]
        if not keys or not keys[0].is_private:
            raise KeysInvalid(f"{self.path} holds no private key to sign with.")
        self._keys, self._version = keys, version


def create_keys(path: Path, algorithm: SigningAlgorithm = "EdDSA") -> KeyFile:
    """The keys of this file, made first where there is none yet."""
    if not path.exists():
        write_key_file(path, [_generate(algorithm)], replace=False)
    return KeyFile(path)


def rotate_keys(path: Path, algorithm: SigningAlgorithm = "EdDSA") -> KeyFile:
    """Put a new key before the others: it signs from now on, and the older ones still verify."""
    older = [dict(key.as_dict(private=True)) for key in _parse(_read(path), str(path))]
    write_key_file(path, [_generate(algorithm), *older], replace=True)
    return KeyFile(path)


def withdraw_key(path: Path, key_id: str) -> KeyFile:
    """Take this key out of the file: what it has signed counts no longer. Raises KeysInvalid.

    The key that signs stays; a rotation before it makes it one of the older ones.
    """
    keys: list[Mapping[str, Any]] = [key.as_dict(private=True) for key in _parse(_read(path), str(path))]
    if key_id == keys[0]["kid"]:
        raise KeysInvalid(
            f"{key_id} is the key that signs; `payonce keys --rotate` puts another in its place."
        )
    others = [key for key in keys if key["kid"] != key_id]
    if len(others) == len(keys):
        raise KeysInvalid(f"{path} holds no key {key_id}.")
    write_key_file(path, others, replace=True)
    return KeyFile(path)


def _generate(algorithm: SigningAlgorithm) -> Mapping[str, Any]:
    parameters: KeyParameters = {"use": "sig", "alg": algorithm}
    key = (
        OKPKey.generate_key("Ed25519", parameters, auto_kid=True)
        if algorithm == "EdDSA"
        else ECKey.generate_key("P-256", parameters, auto_kid=True)
    )
    return key.as_dict(private=True)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise KeysInvalid(f"{path} does not exist; `payonce keys` makes signing keys.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise KeysInvalid(f"{path} cannot be read ({type(error).__name__}).") from error


def _parse(text: str, source: str) -> KeySet:
    # Parse errors are told without their text, which could hold a part of a private key.
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        raise KeysInvalid(f"{source} is not JSON.") from None
    if not isinstance(value, dict) or not isinstance(value.get("keys"), list):
        raise KeysInvalid(f"{source} is not a JWK set (RFC 7517).")
    try:
        return KeySet.import_key_set({"keys": value["keys"]})
    except (JoseError, ValueError, TypeError, AttributeError):
        raise KeysInvalid(f"{source} holds a key that cannot be used.") from None


def write_key_file(path: Path, keys: list[Mapping[str, Any]], *, replace: bool) -> None:
    """Write all or nothing, readable by the owner alone; without `replace`, an existing file stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({"keys": keys}, file)
        file.flush()
        os.fsync(file.fileno())
    if replace:
        draft.replace(path)
        return
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        pass  # another process was faster: its keys are the ones
    finally:
        draft.unlink()
