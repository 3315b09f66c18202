"""The keys that stored data is encrypted under: a set of symmetric JWKs (RFC 7517), newest first."""

import base64
import binascii
import hashlib
import json
import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from adapters.security.keys import KeysInvalid, write_key_file

logger = logging.getLogger(__name__)

KEY_BYTES = 32  # AES-256
RESERVED = "own"  # stands in sealed values for the key of their record
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")


class DataKeys(Protocol):
    """Key-encryption keys by their ids."""

    @property
    def newest(self) -> tuple[str, bytes]:
        """The key that seals."""
        ...

    def find(self, key_id: str) -> bytes | None:
        """A key that opens; None where it is not here."""
        ...

    @property
    def key_ids(self) -> list[str]:
        """Newest first."""
        ...


class FixedDataKeys:
    """The keys of a setting: `id:base64`, with commas between, newest first. Raises KeysInvalid."""

    def __init__(self, text: str, source: str):
        parts = [part.strip().partition(":") for part in text.split(",") if part.strip()]
        self._keys = _checked(((key_id, encoded) for key_id, _, encoded in parts), source)

    @property
    def newest(self) -> tuple[str, bytes]:
        return next(iter(self._keys.items()))

    def find(self, key_id: str) -> bytes | None:
        return self._keys.get(key_id)

    @property
    def key_ids(self) -> list[str]:
        return list(self._keys)


class DataKeyFile:
    """The keys of a file. Whether it is another one is asked at each use, so that a new key needs no restart."""

    def __init__(self, path: Path):
        """Raises KeysInvalid."""
        self.path = path
        self._version: tuple[int, int] | None = None
        self._keys: dict[str, bytes] = {}
        self._load()

    @property
    def newest(self) -> tuple[str, bytes]:
        self._refresh()
        return next(iter(self._keys.items()))

    def find(self, key_id: str) -> bytes | None:
        if key_id not in self._keys:
            self._refresh()
        return self._keys.get(key_id)

    @property
    def key_ids(self) -> list[str]:
        self._refresh()
        return list(self._keys)

    def _refresh(self) -> None:
        version = self._version_on_disk()
        if version == self._version:
            return
        try:
            self._load()
        except KeysInvalid as error:  # edited by hand, and wrong: the keys in hand go on counting
            self._version = version
            logger.warning("data_keys_not_read", extra={"cause": str(error)})

    def _version_on_disk(self) -> tuple[int, int] | None:
        try:
            status = self.path.stat()
        except OSError:
            return self._version  # a file that is gone changes nothing for a running process
        return status.st_mtime_ns, status.st_ino

    def _load(self) -> None:
        version = self._version_on_disk()
        self._keys, self._version = _read(self.path), version


def create_data_keys(path: Path) -> DataKeyFile:
    """The keys of this file, the first one made where there is none yet."""
    if not path.exists():
        write_key_file(path, [_generate()], replace=False)
    return DataKeyFile(path)


def add_data_key(path: Path) -> DataKeyFile:
    """Put a new key before the others: it seals from now on, and the older ones still open. Raises KeysInvalid."""
    older = [_jwk(key_id, key) for key_id, key in _read(path).items()]
    write_key_file(path, [_generate(), *older], replace=True)
    return DataKeyFile(path)


def _generate() -> Mapping[str, Any]:
    key = AESGCM.generate_key(KEY_BYTES * 8)
    return _jwk(f"dk-{hashlib.sha256(key).hexdigest()[:8]}", key)


def _jwk(key_id: str, key: bytes) -> Mapping[str, Any]:
    encoded = base64.urlsafe_b64encode(key).decode().rstrip("=")
    return {"kty": "oct", "use": "enc", "alg": "A256GCM", "kid": key_id, "k": encoded}


def _read(path: Path) -> dict[str, bytes]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        parts = [(str(key["kid"]), str(key["k"])) for key in value["keys"]]
    except FileNotFoundError as error:
        raise KeysInvalid(f"{path} does not exist; `payonce keys` makes the key of stored data.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise KeysInvalid(f"{path} cannot be read ({type(error).__name__}).") from error
    except (ValueError, KeyError, TypeError):
        # Told without its text, which could hold a part of a key.
        raise KeysInvalid(f"{path} is not a set of symmetric JWKs (RFC 7517).") from None
    return _checked(parts, str(path))


def _checked(parts: Iterable[tuple[str, str]], source: str) -> dict[str, bytes]:
    keys: dict[str, bytes] = {}
    for number, (key_id, encoded) in enumerate(parts, 1):
        if not _KEY_ID.fullmatch(key_id) or key_id == RESERVED:
            raise KeysInvalid(f"{source}: the id of key {number} must be 1 to 32 letters, digits, - or _.")
        key = _decode(encoded)
        if key is None or len(key) != KEY_BYTES:
            raise KeysInvalid(f"{source}: key {number} must be {KEY_BYTES} bytes in base64.")
        if key_id in keys:
            raise KeysInvalid(f"{source} has two keys of the id {key_id}.")
        keys[key_id] = key
    if not keys:
        raise KeysInvalid(f"{source} holds no key.")
    return keys


def _decode(encoded: str) -> bytes | None:
    plain = encoded.rstrip("=").replace("+", "-").replace("/", "_")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
