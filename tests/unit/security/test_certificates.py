"""The development authority, and what a process does about certificates that change under it."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from adapters.security.certificates import create_certificates, renew_certificates
from adapters.security.tls import CertificatesInvalid, MutualTls, TlsFiles

NAMES = ["shop.test", "10.1.2.3"]


def files(folder: Path, name: str) -> TlsFiles:
    return TlsFiles(folder / f"{name}.pem", folder / f"{name}.key", folder / "ca.pem")


def test_what_is_made(tmp_path: Path) -> None:
    issued = create_certificates(tmp_path, NAMES, datetime.now(UTC))
    assert [one.certificate.name for one in issued] == ["orders.pem", "payments.pem"]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("*.key")} == {0o600}
    certificate = x509.load_pem_x509_certificate(issued[0].certificate.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "orders", "shop.test"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == [
        "127.0.0.1",
        "::1",
        "10.1.2.3",
    ]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    create_certificates(tmp_path, [], datetime.now(UTC))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(CertificatesInvalid, match=r"ca\.pem exists"):
        create_certificates(tmp_path, [], datetime.now(UTC))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    with pytest.raises(CertificatesInvalid, match="does not exist"):
        renew_certificates(tmp_path / "elsewhere", [], datetime.now(UTC))


def handshake(server: MutualTls, client: ssl.SSLContext) -> int:
    """The serial number of the certificate that the server shows. Raises ssl.SSLError, at either end."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname="localhost"),
        server.context.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(5):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    shown = ends[0].getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).serial_number


def test_renewed_certificates_count_without_a_restart(tmp_path: Path) -> None:
    create_certificates(tmp_path, [], datetime.now(UTC))
    server = MutualTls(files(tmp_path, "payments"), is_server=True)
    client = MutualTls(files(tmp_path, "orders"), is_server=False)
    first = handshake(server, client.context)
    renew_certificates(tmp_path, [], datetime.now(UTC))
    client.refresh()
    handshake(server, client.context)  # at which the files are read
    assert handshake(server, client.context) != first


def test_files_that_cannot_be_used_change_nothing(tmp_path: Path) -> None:
    create_certificates(tmp_path, [], datetime.now(UTC))
    server = MutualTls(files(tmp_path, "payments"), is_server=True)
    client = MutualTls(files(tmp_path, "orders"), is_server=False)
    first = handshake(server, client.context)
    (tmp_path / "payments.key").write_bytes((tmp_path / "orders.key").read_bytes())  # in a renewal's middle
    assert [handshake(server, client.context) for _ in range(2)] == [first, first]
    with pytest.raises(CertificatesInvalid, match=r"payments\.pem"):
        MutualTls(files(tmp_path, "payments"), is_server=True)
    with pytest.raises(CertificatesInvalid, match="No such file"):
        MutualTls(files(tmp_path / "elsewhere", "payments"), is_server=True)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_no_certificate_or_one_of_another_authority_is_refused(
    tmp_path: Path, version: ssl.TLSVersion
) -> None:
    create_certificates(tmp_path / "ours", [], datetime.now(UTC))
    create_certificates(tmp_path / "theirs", [], datetime.now(UTC))
    server = MutualTls(files(tmp_path / "ours", "payments"), is_server=True)
    nobody = ssl.create_default_context(cafile=str(tmp_path / "ours" / "ca.pem"))
    stranger = ssl.create_default_context(cafile=str(tmp_path / "ours" / "ca.pem"))
    stranger.load_cert_chain(tmp_path / "theirs" / "orders.pem", tmp_path / "theirs" / "orders.key")
    for context in (nobody, stranger):
        context.maximum_version = version
        with pytest.raises(ssl.SSLError):
            handshake(server, context)
