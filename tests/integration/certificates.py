"""Certificates for tests, made on the spot: an authority, and what it signs."""
import datetime
import ipaddress
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write(path, data, mode=0o644):
    """Whole or not at all, as tools that renew certificates do."""
    with open(os.open(path + ".new", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode), "wb") as f:
        f.write(data)
    os.rename(path + ".new", path)


class Authority:
    def __init__(self, name="Test Authority"):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = _name(name)
        self.certificate = self._sign(self.name, self.key.public_key(), 365 * DAY, x509.BasicConstraints(True, None), -DAY)

    def _sign(self, subject, public_key, valid, extension, begins):
        now = datetime.datetime.now(datetime.timezone.utc)
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(public_key)
                .serial_number(x509.random_serial_number()).not_valid_before(now + begins).not_valid_after(now + valid)
                .add_extension(extension, isinstance(extension, x509.BasicConstraints)).sign(self.key, hashes.SHA256()))

    def write(self, path):
        _write(path, self.certificate.public_bytes(serialization.Encoding.PEM))
        return path

    def issue(self, cert_file, key_file, *names, valid=30 * DAY, begins=-2 * DAY):
        """A certificate for these names, with its key; its serial number."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = x509.SubjectAlternativeName([_alternative(name) for name in names])
        certificate = self._sign(_name(names[0]), key.public_key(), valid, alternatives, begins)
        _write(key_file, key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                           serialization.NoEncryption()), 0o600)
        _write(cert_file, certificate.public_bytes(serialization.Encoding.PEM))
        return certificate.serial_number
