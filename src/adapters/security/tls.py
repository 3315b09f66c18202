"""Mutual TLS between the services: whoever has no certificate of our authority gets no further than the handshake.

Certificates are read again when their files change, at the next handshake or call, so that renewing them needs
no restart. An authority that is added counts at once as well; one that is taken away only after a restart.
"""

import logging
import ssl
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)


class CertificatesInvalid(Exception):
    """Certificates cannot be made or used. The message is one sentence that names the file."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: what we show, its key, and by whom the others' certificates must be."""

    certificate: Path
    key: Path
    authority: Path


class MutualTls:
    """A context of one end of the connection, kept to what its files hold. Raises CertificatesInvalid."""

    def __init__(self, files: TlsFiles, *, is_server: bool) -> None:
        self._files = files
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if is_server else ssl.PROTOCOL_TLS_CLIENT)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.verify_mode = ssl.CERT_REQUIRED
        self._versions = self._on_disk()
        self._load()
        if is_server:
            # A resumed session would not show a certificate, so there are none.
            self.context.options |= ssl.OP_NO_TICKET
            self.context.num_tickets = 0
            self.context.sni_callback = lambda *_: self.refresh()

    def refresh(self) -> None:
        """Read the files again where they have changed; where they cannot be used, what is in hand goes on."""
        versions = self._on_disk()
        if versions == self._versions:
            return
        self._versions = versions
        try:
            self._load()
        except CertificatesInvalid as error:
            logger.warning("certificates_not_read", extra={"cause": str(error)})

    def _on_disk(self) -> tuple[tuple[int, int], ...]:
        found: list[tuple[int, int]] = []
        for path in (self._files.certificate, self._files.key, self._files.authority):
            try:
                status = path.stat()
            except OSError:
                found.append((0, 0))
            else:
                found.append((status.st_mtime_ns, status.st_ino))
        return tuple(found)

    def _load(self) -> None:
        # Tried elsewhere first: a pair that does not fit, as in the middle of a renewal, would spoil the one in use.
        for context in (ssl.SSLContext(self.context.protocol), self.context):
            self._load_into(context)

    def _load_into(self, context: ssl.SSLContext) -> None:
        files = self._files
        try:
            context.load_cert_chain(files.certificate, files.key)
        except OSError as error:  # ssl.SSLError is one
            raise CertificatesInvalid(
                f"{files.certificate} with {files.key} cannot be used ({_words(error)})."
            ) from error
        try:
            context.load_verify_locations(files.authority)
        except OSError as error:
            raise CertificatesInvalid(f"{files.authority} cannot be used ({_words(error)}).") from error


def _words(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "no certificate in it"
    return error.strerror or type(error).__name__
