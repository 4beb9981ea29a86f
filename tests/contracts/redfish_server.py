"""A small Redfish service with sessions, for tests; it counts them, and has faults on demand."""

import hashlib
import ipaddress
import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fencing.power.port import Bmc
from tests.contracts.ipmi_sim import GUID, PASSWORD, USERNAME


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate for 127.0.0.1: its own CA."""

    cert: Path
    key: Path
    pin: str  # sha256:…


def certificate(folder: Path, name: str = "bmc") -> Certificate:
    """Make one; each call makes another."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / f"{name}.pem", folder / f"{name}.key"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    raw = made.public_bytes(serialization.Encoding.DER)
    return Certificate(cert_file, key_file, f"sha256:{hashlib.sha256(raw).hexdigest()}")


ROOT = "/redfish/v1/"
SYSTEMS = "/redfish/v1/Systems"
SYSTEM = f"{SYSTEMS}/1"
SESSIONS = "/redfish/v1/SessionService/Sessions"
RESET = f"{SYSTEM}/Actions/ComputerSystem.Reset"
INFO = f"{SYSTEM}/ResetActionInfo"

Fault = Callable[["Asked"], None]


class FaultyBmc:
    """An HTTPS service with one system; whoever holds it may change any field at any time."""

    def __init__(self, made: Certificate) -> None:
        self.certificate = made
        self.power = "On"
        self.systems = ["1"]
        self.kinds: list[str] | None = ["On", "ForceOff", "GracefulShutdown"]
        self.reset: dict[str, Any] = {"target": RESET}
        self.system: dict[str, Any] = {"UUID": GUID}
        self.faults: dict[tuple[str, str], Fault] = {}
        self.asked: list[tuple[str, str]] = []
        self.credentials: list[str] = []  # what came with an X-Auth-Token or an Authorization
        self.resets: list[str] = []
        self.opened: list[str] = []
        self.deleted: list[str] = []
        self.ended = threading.Event()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(made.cert, made.key)
        self._server = _Server(("127.0.0.1", 0), Asked)
        self._server.bmc = self
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def at(self, password: str = PASSWORD, **options: str) -> Bmc:
        """Return the settings that reach it."""
        options = {"verify": self.certificate.pin} | options
        return Bmc(1, "redfish", "127.0.0.1", self.port, USERNAME, password, options)

    @property
    def leaked(self) -> set[str]:
        """The sessions that nobody has ended."""
        return set(self.opened) - set(self.deleted)

    def resource(self, path: str) -> dict[str, Any] | None:
        """Return what stands at a path."""
        members = [{"@odata.id": f"{SYSTEMS}/{name}"} for name in self.systems]
        reset = dict(self.reset)
        if self.kinds is not None:
            reset["ResetType@Redfish.AllowableValues"] = self.kinds
        system = {"PowerState": self.power, "Actions": {"#ComputerSystem.Reset": reset}}
        resources: dict[str, dict[str, Any]] = {
            ROOT: {
                "Systems": {"@odata.id": SYSTEMS},
                "Links": {"Sessions": {"@odata.id": SESSIONS}},
            },
            SYSTEMS: {"Members": members},
            SYSTEM: system | self.system,
            INFO: {"Parameters": [{"Name": "ResetType", "AllowableValues": ["ForceOff", "On"]}]},
        }
        return resources.get(path)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    bmc: FaultyBmc

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up, or takes no such certificate, is what is tested here."""


class Asked(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def answer(self, status: int, body: object = None, **headers: str) -> None:
        """Send a whole answer; ``body`` bytes as they are, else as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode() if body else b""
        self.begin(status, len(raw), **headers)
        self.wfile.write(raw)

    def begin(self, status: int, length: int, **headers: str) -> None:
        """Send the head of an answer."""
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def hang(self) -> None:
        """Say nothing more until the server ends."""
        self.server.bmc.ended.wait(30)
        self.close_connection = True

    def do_GET(self) -> None:
        """Serve a resource."""
        if self._is_faulty("GET"):
            return
        found = self.server.bmc.resource(self.path)
        if self.path != ROOT and not self._knows():
            self.answer(401)
        elif found is None:
            self.answer(404)
        else:
            self.answer(200, found)

    def do_POST(self) -> None:
        """Open a session, or switch."""
        bmc = self.server.bmc
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        said = json.loads(raw)
        if self._is_faulty("POST"):
            return
        if self.path == SESSIONS:
            if said != {"UserName": USERNAME, "Password": PASSWORD}:
                self.answer(401)
                return
            self.answer(201, {"Id": "x"}, **self.open_session())
        elif not self._knows():
            self.answer(401)
        elif self.path == RESET:
            bmc.resets.append(said["ResetType"])
            bmc.power = "Off" if said["ResetType"] == "ForceOff" else "On"
            self.answer(204)

    def do_DELETE(self) -> None:
        """End a session."""
        if self._is_faulty("DELETE"):
            return
        self.server.bmc.deleted.append(self.path)
        self.answer(204)

    def open_session(self) -> dict[str, str]:
        """Count a new session; return the headers that tell of it."""
        bmc = self.server.bmc
        path = f"{SESSIONS}/{len(bmc.opened)}"
        bmc.opened.append(path)
        return {"X_Auth_Token": "token-of-this-session", "Location": f"https://bmc.invalid{path}"}

    def _knows(self) -> bool:
        basic = self.headers.get("Authorization", "").startswith("Basic ")
        return basic or self.headers.get("X-Auth-Token") == "token-of-this-session"

    def _is_faulty(self, method: str) -> bool:
        bmc = self.server.bmc
        bmc.asked.append((method, self.path))
        for name in ("X-Auth-Token", "Authorization"):
            if name in self.headers:
                bmc.credentials.append(self.headers[name])
        fault = bmc.faults.get((method, self.path))
        if fault is None:
            return False
        fault(self)
        return True
