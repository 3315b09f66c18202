"""What seals and opens the rows of tests, under one key."""

from base64 import b64encode

from adapters.postgres.sealing import Vault
from adapters.security.data_keys import FixedDataKeys
from adapters.system.randomness import random_bytes

DATA_KEYS = "test:" + b64encode(b"a key for tests, of 32 bytes....").decode()
VAULT = Vault(FixedDataKeys(DATA_KEYS, "the tests"), random_bytes)
