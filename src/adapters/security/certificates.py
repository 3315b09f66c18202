"""A certificate authority for development, and a certificate of each service by it.

Each certificate serves on both ends of a call: the service shows it where it is called, and where it calls.
"""

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from adapters.security.tls import CertificatesInvalid

AUTHORITY = "ca"
SERVICES = ("orders", "payments")
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
AUTHORITY_LIFETIME = timedelta(days=3650)
LIFETIME = timedelta(days=397)  # the longest that today's clients accept of a public one
BACKDATED = timedelta(minutes=5)  # for clocks that are behind ours


@dataclass(frozen=True, slots=True)
class Issued:
    certificate: Path
    key: Path
    expires: datetime


@dataclass(frozen=True, slots=True)
class _Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def create_certificates(folder: Path, names: Sequence[str], now: datetime) -> list[Issued]:
    """Make the authority and both services' certificates, for these host names and addresses besides the
    local ones. Raises CertificatesInvalid where a file of theirs is there: nothing is overwritten."""
    for name in (AUTHORITY, *SERVICES):
        for path in _paths(folder, name):
            if path.exists():
                raise CertificatesInvalid(
                    f"{path} exists and is not overwritten; --renew makes new certificates by the same authority."
                )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = _make_authority(now)
    _write(folder, AUTHORITY, authority.certificate, authority.key)
    return [_issue(folder, service, names, authority, now) for service in SERVICES]


def renew_certificates(folder: Path, names: Sequence[str], now: datetime) -> list[Issued]:
    """Put new certificates in place of both services', by the authority that is there. Raises CertificatesInvalid."""
    authority = _read_authority(folder)
    return [_issue(folder, service, names, authority, now) for service in SERVICES]


def _paths(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / f"{name}.pem", folder / f"{name}.key"


def _make_authority(now: datetime) -> _Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Payonce development CA")])
    builder = (
        _begun(subject, subject, key.public_key(), now, AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    return _Authority(builder.sign(key, hashes.SHA256()), key)


def _issue(folder: Path, service: str, names: Sequence[str], authority: _Authority, now: datetime) -> Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, service)])
    alternatives = [_alternative(name) for name in dict.fromkeys((*LOCAL_NAMES, service, *names))]
    issuer_key = x509.SubjectKeyIdentifier.from_public_key(authority.key.public_key())
    uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = (
        _begun(subject, authority.certificate.subject, key.public_key(), now, LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key), critical=False
        )
    )
    return _write(folder, service, builder.sign(authority.key, hashes.SHA256()), key)


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _read_authority(folder: Path) -> _Authority:
    certificate_path, key_path = _paths(folder, AUTHORITY)
    try:
        certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
        key = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
    except FileNotFoundError as error:
        raise CertificatesInvalid(f"{error.filename} does not exist; `payonce certs` makes it.") from error
    except (OSError, ValueError, TypeError) as error:
        raise CertificatesInvalid(
            f"{folder} holds no authority that can be read ({type(error).__name__})."
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificatesInvalid(f"{key_path} is not a key of ours.")
    return _Authority(certificate, key)


def _write(folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Issued:
    certificate_path, key_path = _paths(folder, name)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _replace(key_path, private, 0o600)
    _replace(certificate_path, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    return Issued(certificate_path, key_path, certificate.not_valid_after_utc)


def _replace(path: Path, content: bytes, mode: int) -> None:
    """All or nothing, and never readable by others in between."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
