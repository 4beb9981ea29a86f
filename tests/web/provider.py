"""A small OpenID provider on loopback, with what may go wrong at one."""

import base64
import json
import threading
import time
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT, SECRET = "holdfast", "the client's secret"


@dataclass
class Provider:
    """What it knows of its one person, and how it lies."""

    claims: dict[str, Any] = field(default_factory=lambda: {"sub": "17"})
    token_claims: dict[str, Any] = field(default_factory=dict)  # over what is right
    info_claims: dict[str, Any] = field(default_factory=dict)
    without_id_token: bool = False
    broken: str = ""  # the path that answers nonsense
    asked: dict[str, str] = field(default_factory=dict)  # the parameters of the last visit
    calls: list[str] = field(default_factory=list)
    url: str = ""
    key: Any = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))

    def visit(self, location: str) -> str:
        """Do what a person does at the provider: agree; return the query of the way back."""
        parts = urlsplit(location)
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{self.url}/authorize"
        self.asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        assert self.asked["client_id"] == CLIENT
        assert self.asked["response_type"] == "code"
        return f"?code=abc&state={self.asked['state']}"

    def answer(self, path: str, form: dict[str, str]) -> Any:
        """Return the JSON for one call."""
        self.calls.append(path)
        if path == self.broken:
            return {"nothing": "useful"}
        if path == "/.well-known/openid-configuration":
            return self.configuration()
        if path == "/token":
            return self.token(form)
        if path == "/userinfo":
            return self.claims | self.info_claims
        return {"keys": []}

    def configuration(self) -> dict[str, Any]:
        """Return the discovery document."""
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "jwks_uri": f"{self.url}/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        }

    def token(self, form: dict[str, str]) -> dict[str, Any]:
        """Return the tokens, if the client is the right one and holds what it began with."""
        digest = sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        proven = challenge == self.asked["code_challenge"]
        if (form.get("client_secret"), form.get("code"), proven) != (SECRET, "abc", True):
            return {"error": "invalid_grant"}
        now = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 60}
        claims |= self.claims | {"nonce": self.asked["nonce"]} | self.token_claims
        signed = jwt.encode(claims, self.key, "RS256", headers={"kid": "1"})
        found = {"access_token": "the access token", "token_type": "Bearer", "id_token": signed}
        if self.without_id_token:
            del found["id_token"]
        return found


class _Server(ThreadingHTTPServer):
    provider: Provider


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._answer({name: values[0] for name, values in parse_qs(text).items()})

    def _answer(self, form: dict[str, str]) -> None:
        body = json.dumps(self.server.provider.answer(urlsplit(self.path).path, form)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


def serve(provider: Provider) -> ThreadingHTTPServer:
    """Start the provider on a free port of loopback; the caller shuts it down."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.provider = provider
    provider.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server
