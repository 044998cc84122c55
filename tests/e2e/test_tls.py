"""The server with a certificate of its own: HTTPS without a proxy."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from ssl import create_default_context

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from experiment_pipeline.domain.api_keys import Scope
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.settings import PREFIX, Settings
from tests.e2e.conftest import eventually, free_port

pytestmark = pytest.mark.e2e
NOW = datetime.now(UTC)


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of `localhost` that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))
    return folder / "certificate.pem", folder / "key.pem"


def start(folder: Path, certificate: Path, key: Path, port: int) -> "subprocess.Popen[str]":
    given = {"DATA_DIR": folder / "data", "TLS_CERTIFICATE": certificate, "TLS_KEY": key}
    environment = os.environ | {f"{PREFIX}{name}": str(value) for name, value in given.items()}
    command = [sys.executable, "-m", "experiment_pipeline", "serve", "--host", "localhost", "--port", str(port)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def test_certificate__answers_https_alone__with_secure_cookies_and_no_way_back_to_http(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    (tmp_path / "data").mkdir()
    registry = Registry.open(Settings(data_dir=tmp_path / "data").database_url)
    registry.environments.create("production", "production", actor="tests", now=NOW)
    _, token = registry.keys.create("production", Scope.READ, "tests", actor="tests", now=NOW)
    port = free_port()
    server = start(tmp_path, certificate, key, port)
    try:
        with httpx.Client(verify=create_default_context(cafile=str(certificate))) as client:

            def is_ready() -> bool:
                try:
                    return client.get(f"https://localhost:{port}/readyz").status_code == 200
                except httpx.TransportError:
                    return False

            eventually(is_ready, "the server answers")
            shown = client.get(f"https://localhost:{port}/sign-in")
            assert shown.headers["strict-transport-security"] == "max-age=31536000"
            assert "secure" in shown.headers["set-cookie"].lower()
            path = "/api/v1/environments/production/experiments/"
            answer = client.get(f"https://localhost:{port}{path}", headers={"Authorization": f"Api-Key {token}"})
            assert answer.status_code == 200
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://localhost:{port}/healthz")
    finally:
        server.terminate()
        server.communicate(timeout=60)
    registry.close()


def test_certificate__without_its_key__is_told_in_one_line(tmp_path: Path) -> None:
    certificate, _ = write_certificate(tmp_path)
    server = start(tmp_path, certificate, certificate, free_port())
    _, log = server.communicate(timeout=120)
    assert server.returncode == 1
    assert f"{PREFIX}TLS_CERTIFICATE and {PREFIX}TLS_KEY must name a certificate and its private key" in log
    assert "Traceback" not in log
