"""What seals and opens stored data, made of the settings."""

from adapters.postgres.sealing import Vault
from adapters.security.data_keys import DataKeyFile, DataKeys, FixedDataKeys
from adapters.system.randomness import random_bytes
from entrypoints.settings import PREFIX, Settings


def data_keys_of(settings: Settings) -> DataKeys:
    """Raises KeysInvalid where there is no key: nothing personal is ever stored plainly."""
    if settings.data_keys:
        return FixedDataKeys(settings.data_keys.reveal(), f"{PREFIX}DATA_KEYS")
    return DataKeyFile(settings.data_key_file)


def vault_of_settings(settings: Settings) -> Vault:
    """Raises KeysInvalid."""
    return Vault(data_keys_of(settings), random_bytes)
