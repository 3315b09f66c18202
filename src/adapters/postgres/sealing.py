"""Values as they lie in rows that hold them sealed: AES-256-GCM, each bound to its place.

A sealed value is the text `sealed1.<key>.<base64url>`. `<key>` is the id of a key-encryption key, or `own`:
then a record's own data key has sealed it, which lies wrapped in a row beside, and without which nobody
opens it any more. The associated data is the value's place, so that it counts in no other row or column.

Nonces are 96 bits, drawn at random for each value. A random nonce is safe for 2^32 values under one key
(NIST SP 800-38D, section 8.3). A data key of a record seals a handful. What is sealed by a key-encryption
key is sealed by one derived from it (HKDF-SHA256) with 128 random bits that stand before the nonce: each
process draws them when it starts, and others after 2^30 values.
"""

import base64
import binascii
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from domain.shared.errors import Unavailable

logger = logging.getLogger(__name__)

PREFIX = "sealed1."
OWN = "own"
NONCE_BYTES = 12
SALT_BYTES = 16
VALUES_PER_SALT = 2**30


class StoredDataUnreadable(Unavailable):
    """Stored data cannot be opened: it was altered or moved, or its key is not here."""

    code = "stored_data_unreadable"


class KeySource(Protocol):
    """Key-encryption keys of 32 bytes by their ids."""

    @property
    def newest(self) -> tuple[str, bytes]: ...

    def find(self, key_id: str) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class RecordKey:
    """The data key of one record (an order, a payment), and how it lies in the database."""

    wrapped: str
    cipher: AESGCM = field(repr=False)


@dataclass(slots=True)
class Vault:
    """Seals and opens. It keeps no record's key: one that is destroyed is at once of no use to anybody."""

    keys: KeySource
    random: Callable[[int], bytes]
    """So many bytes that nobody can foresee."""
    _salt: bytes = b""
    _left: int = 0

    def new_key(self, schema: str, record: str) -> RecordKey:
        key = self.random(32)
        return RecordKey(self.seal(_place_of_key(schema, record), key), AESGCM(key))

    def unwrap(self, schema: str, record: str, wrapped: str) -> RecordKey:
        """Raises StoredDataUnreadable."""
        return RecordKey(wrapped, AESGCM(self.open(_place_of_key(schema, record), wrapped)))

    def rewrap(self, schema: str, record: str, wrapped: str) -> str:
        """The same data key under the newest key-encryption key. Raises StoredDataUnreadable."""
        place = _place_of_key(schema, record)
        return self.seal(place, self.open(place, wrapped))

    def seal(self, place: str, plain: bytes, own: RecordKey | None = None) -> str:
        nonce = self.random(NONCE_BYTES)
        if own is not None:
            return _written(OWN, nonce + own.cipher.encrypt(nonce, plain, place.encode()))
        key_id, key = self.keys.newest
        if self._left == 0:
            self._salt, self._left = self.random(SALT_BYTES), VALUES_PER_SALT
        self._left -= 1
        sealed = _derived(key, self._salt).encrypt(nonce, plain, place.encode())
        return _written(key_id, self._salt + nonce + sealed)

    def open(self, place: str, sealed: str, own: RecordKey | None = None) -> bytes:
        """Raises StoredDataUnreadable."""
        key_id, data = _read(place, sealed)
        if key_id == OWN:
            if own is None:
                raise _unreadable(place, "its record has no data key")
            cipher = own.cipher
        else:
            key = self.keys.find(key_id)
            if key is None:
                raise _unreadable(place, f"there is no key {key_id}")
            salt, data = data[:SALT_BYTES], data[SALT_BYTES:]
            cipher = _derived(key, salt)
        try:
            return cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], place.encode())
        except (InvalidTag, ValueError) as error:
            raise _unreadable(place, "it was altered or moved") from error


def key_of(sealed: str) -> str:
    """The id of the key that sealed it, or OWN."""
    return sealed.split(".", 2)[1]


def _place_of_key(schema: str, record: str) -> str:
    return f"{schema}.data_key.wrapped:{record}"


def _written(key_id: str, data: bytes) -> str:
    return f"{PREFIX}{key_id}.{base64.urlsafe_b64encode(data).decode()}"


def _read(place: str, sealed: str) -> tuple[str, bytes]:
    try:
        _, key_id, encoded = sealed.split(".", 2)
        return key_id, base64.b64decode(encoded, altchars=b"-_", validate=True)
    except (ValueError, binascii.Error) as error:
        raise _unreadable(place, "it has not the form of a sealed value") from error


def _unreadable(place: str, cause: str) -> StoredDataUnreadable:
    logger.error("stored_data_unreadable", extra={"place": place, "cause": cause})
    return StoredDataUnreadable()


@lru_cache(maxsize=4096)
def _derived(key: bytes, salt: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), 32, salt, b"payonce sealed values").derive(key))
