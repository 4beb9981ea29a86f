"""The lab's own certificate authority, and one certificate for each host and for the engine."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.lab.layout import LabHost

_LIFE = timedelta(days=30)


class Authority:
    """A certificate authority that lives as long as the lab."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("lab authority")
        self._certificate = (
            _begun(self._name, self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def equip(self, etc: Path, host: LabHost) -> None:
        """Lay out a host's /etc/pki as libvirt looks for it: server and client in one."""
        self._issue(etc / "pki", host.name, host.address, ("server", "client"))

    def equip_client(self, pki: Path) -> None:
        """Lay out what a program on the engine's machine shows to the hosts."""
        self._issue(pki, "engine", None, ("client",))

    def _issue(self, pki: Path, name: str, address: str | None, roles: tuple[str, ...]) -> None:
        for folder in ("CA", "libvirt/private"):
            (pki / folder).mkdir(parents=True, exist_ok=True)
        (pki / "CA" / "cacert.pem").write_bytes(_pem(self._certificate))
        key = ec.generate_private_key(ec.SECP256R1())
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        builder = _begun(_name(name), self._name, key.public_key())
        if address is not None:
            names = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address(address))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([_PURPOSE[role] for role in roles]), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        for role in roles:
            (pki / "libvirt" / f"{role}cert.pem").write_bytes(_pem(certificate))
            secret = pki / "libvirt" / "private" / f"{role}key.pem"
            secret.touch(mode=0o600)
            secret.write_bytes(private)


_PURPOSE = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _LIFE)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not signs_certificates,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
