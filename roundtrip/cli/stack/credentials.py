"""The stack's credentials: generated once, kept in a 0600 file, never in an argument or a log."""

from __future__ import annotations

import base64
import json
import os
import secrets
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

CERTIFICATE_DAYS = 36_500
"""A stack's certificate goes with the stack."""


def _token() -> str:
    return secrets.token_hex(20)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Every secret of the stack. Hexadecimal, so that none needs quoting in a URL, a shell or a configuration file."""

    postgres_password: str = field(default_factory=_token, repr=False)
    """Of PostgreSQL's superuser, used only to make the databases."""
    airflow_database_password: str = field(default_factory=_token, repr=False)
    mlflow_database_password: str = field(default_factory=_token, repr=False)
    roundtrip_database_password: str = field(default_factory=_token, repr=False)
    s3_access_key: str = field(default_factory=_token, repr=False)
    s3_secret_key: str = field(default_factory=_token, repr=False)
    s3_inner_key: str = field(default_factory=_token, repr=False)
    """Signs what SeaweedFS's servers ask of each other over HTTP."""
    spark_token: str = field(default_factory=_token, repr=False)
    mlflow_password: str = field(default_factory=_token, repr=False)
    mlflow_session_key: str = field(default_factory=_token, repr=False)
    triton_admin_key: str = field(default_factory=_token, repr=False)
    gateway_key: str = field(default_factory=_token, repr=False)
    airflow_password: str = field(default_factory=_token, repr=False)
    airflow_session_key: str = field(default_factory=_token, repr=False)
    airflow_jwt_secret: str = field(default_factory=_token, repr=False)
    airflow_fernet_key: str = field(default_factory=_fernet_key, repr=False)
    """Encrypts what Airflow keeps in its database; Fernet wants 32 bytes in base64."""


def load_credentials(home: Path) -> Credentials:
    """The credentials in `<home>/secrets/credentials.json`; those that are not there yet are generated and saved."""
    path = home / "secrets" / "credentials.json"
    saved = json.loads(path.read_text()) if path.exists() else {}
    known = {entry.name for entry in fields(Credentials)}
    credentials = Credentials(**{name: value for name, value in saved.items() if name in known})
    if asdict(credentials) != saved:
        write_private(path, json.dumps(asdict(credentials), indent=2))
    return credentials


def own_certificate(path: Path) -> Path:
    """A certificate that vouches for itself, and its key, in one file that is made where it is missing: for TLS among a service's parts."""
    if path.exists():
        return path
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "roundtrip")])
    certificate = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key(), serial_number=x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=CERTIFICATE_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("roundtrip")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    write_private(path, (certificate.public_bytes(pem) + key.private_bytes(pem, form, serialization.NoEncryption())).decode())
    return path


def write_private(path: Path, text: str) -> None:
    """Replace the file in one step by one that only its owner can read (0600), in a folder that only its owner can enter."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    partial.replace(path)
