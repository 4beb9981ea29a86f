"""The wire of the Redfish driver: HTTPS to one host, small answers, a session that is always ended.

Nothing here follows a link to another host, asks a proxy of the environment, or reads
an answer without end; the caller sets the deadline.
"""

import json
import re
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

from fencing.domain.power import PowerProblem
from fencing.power.port import Bmc, PowerError, error_of, name_problem
from fencing.power.redfish_trust import WrongFingerprint, trust

_ROOT = "/redfish/v1/"
_SESSIONS = "/redfish/v1/SessionService/Sessions"
_MOST_BYTES = 1 << 20
_MOST_REDIRECTS = 3
_PATIENCE = 60.0  # seconds for one read or write; the caller's deadline comes first
_PATH = re.compile(r"/(?!/)[\w.~%:@!$&'()*+,;=/-]{0,512}", re.ASCII)
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "OData-Version": "4.0"}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NO_SESSIONS = frozenset({404, 405, 501})

BAD_LOGIN = "refused the user name or password; correct them in its settings here"
BAD_RIGHTS = "gives this user too few rights; let it log in and control power there"
_FULL = "opens no session; wait a minute, or close sessions or reset the BMC there"
_SILENT = "does not answer; check its address, its cable and that Redfish is enabled"
_STRANGE = "was not understood: its answer is no Redfish; check address and port, or reset the BMC"
_ELSEWHERE = "sends to another address; enter the one at which it answers itself"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: status, and the JSON object of its body (empty where there is none)."""

    status: int
    body: dict[str, Any]

    @property
    def good(self) -> bool:
        """Whether the question was understood and taken."""
        return 200 <= self.status < 300


class Line:
    """A conversation with one BMC: ``async with Line(bmc) as line``, log in, ask, log out."""

    def __init__(self, bmc: Bmc) -> None:
        self.bmc = bmc
        where = f"[{bmc.address}]" if ":" in bmc.address else bmc.address
        try:
            self._base = httpx.URL(f"https://{where}:{bmc.port}/")
        except httpx.InvalidURL as error:
            text = "has an address that cannot be one; correct it"
            raise self.error(PowerProblem.BAD_SETTINGS, text, field="address") from error
        self._client = httpx.AsyncClient(
            verify=trust(bmc),
            trust_env=False,
            follow_redirects=False,
            timeout=_PATIENCE,
            headers=_HEADERS,
        )
        self._basic: httpx.BasicAuth | None = None
        self._session = ""  # the path to DELETE

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def log_in(self) -> dict[str, Any]:
        """Open a session, or use Basic where the service has none; return the service root."""
        root = await self.get(_ROOT)
        sessions = link(root, "Links", "Sessions")
        if not sessions and "SessionService" in root:
            sessions = _SESSIONS
        if not sessions or not await self._open_session(sessions):
            self._basic = httpx.BasicAuth(self.bmc.username, self.bmc.password)
        return root

    async def log_out(self) -> None:
        """End the session: a BMC has few, and an open one blocks people for half an hour."""
        if self._session:
            path, self._session = self._session, ""
            await self._send("DELETE", path)

    async def get(self, path: str) -> dict[str, Any]:
        """Return the object at ``path``, or raise what its absence means."""
        answer = await self._send("GET", path)
        if not answer.good:
            raise self._refusal(answer.status)
        if not answer.body:
            raise self.error(PowerProblem.UNREACHABLE, _STRANGE)
        return answer.body

    async def post(self, path: str, body: dict[str, str]) -> Answer:
        """Send a command; raises only for a refused user."""
        answer = await self._send("POST", path, body)
        if answer.status in (401, 403):
            raise self._refusal(answer.status)
        return answer

    def error(self, problem: PowerProblem, sentence: str, *, field: str = "") -> PowerError:
        """Return an error that names this BMC; no text of the other side is in it unchecked."""
        return error_of(self.bmc, problem, sentence, field=field)

    async def _open_session(self, path: str) -> bool:
        login = {"UserName": self.bmc.username, "Password": self.bmc.password}
        answer = await self._send("POST", path, login, opens=True)
        if answer.good:
            return bool(self._session or "X-Auth-Token" in self._client.headers)
        if answer.status in _NO_SESSIONS:
            return False
        if answer.status >= 500 or "SessionLimitExceeded" in json.dumps(answer.body):
            raise self.error(PowerProblem.UNREACHABLE, _FULL)
        if answer.status in _REDIRECTS:
            raise self._refusal(answer.status)
        raise self.error(PowerProblem.REFUSED_AUTH, BAD_LOGIN)

    def _refusal(self, status: int) -> PowerError:
        if status == 401:
            return self.error(PowerProblem.REFUSED_AUTH, BAD_LOGIN, field="password")
        if status == 403:
            return self.error(PowerProblem.REFUSED_AUTH, BAD_RIGHTS, field="username")
        if status in _REDIRECTS:
            return self.error(PowerProblem.BAD_SETTINGS, _ELSEWHERE, field="address")
        text = f"answered with HTTP status {status}; check address and port, or reset the BMC"
        return self.error(PowerProblem.UNREACHABLE, text)

    async def _send(
        self, method: str, path: str, body: dict[str, str] | None = None, *, opens: bool = False
    ) -> Answer:
        for _ in range(_MOST_REDIRECTS + 1):
            async with self._stream(method, path, body) as response:
                if opens and response.is_success:
                    # Known before the body is read: an answer that breaks off is ended as well.
                    self._note_session(path, response.headers)
                if method != "GET" or response.status_code not in _REDIRECTS:
                    answer = Answer(response.status_code, await self._body_of(response))
                    if opens and answer.good and not self._session:
                        self._session = path_of(answer.body.get("@odata.id"))
                    return answer
                path = self._same_host(response.headers.get("Location", ""))
        raise self._refusal(302)

    @asynccontextmanager
    async def _stream(
        self, method: str, path: str, body: dict[str, str] | None
    ) -> AsyncIterator[httpx.Response]:
        url = self._base.copy_with(raw_path=path.encode("ascii"))
        try:
            async with self._client.stream(method, url, json=body, auth=self._basic) as response:
                yield response
        except httpx.TransportError as error:
            problem, sentence, field = _meaning(error)
            raise self.error(problem, sentence, field=field) from error

    async def _body_of(self, response: httpx.Response) -> dict[str, Any]:
        """Return the JSON object of a body; empty where there is none."""
        raw = bytearray()
        async for chunk in response.aiter_raw():
            raw += chunk
            if len(raw) > _MOST_BYTES:
                text = "sends answers without end; check address and port, or reset the BMC"
                raise self.error(PowerProblem.UNREACHABLE, text)
        try:
            body = json.loads(raw) if raw.strip() else {}
        except (ValueError, RecursionError):
            return {}
        return body if isinstance(body, dict) else {}

    def _note_session(self, path: str, headers: httpx.Headers) -> None:
        token, location = headers.get("X-Auth-Token", ""), headers.get("Location", "")
        if token:
            self._client.headers["X-Auth-Token"] = token
        # Some BMCs name themselves differently in it: only the path counts.
        self._session = path_of(re.sub(r"^https?://[^/]*", "", location))

    def _same_host(self, location: str) -> str:
        try:
            target = self._base.join(location)
        except httpx.InvalidURL:
            raise self._refusal(302) from None
        path = path_of(target.raw_path.decode("ascii"))
        mine = (self._base.scheme, self._base.host, self._base.port)
        if not path or (target.scheme, target.host, target.port) != mine:
            raise self._refusal(302)
        return path


def link(body: object, *names: str) -> str:
    """Return the path that ``names`` lead to (``@odata.id``); empty when it is no path."""
    for name in names:
        body = body.get(name) if isinstance(body, dict) else None
    return path_of(body.get("@odata.id")) if isinstance(body, dict) else ""


def path_of(text: object) -> str:
    """Return ``text`` when it is a path on the same host, else the empty text."""
    return text if isinstance(text, str) and _PATH.fullmatch(text) else ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _meaning(error: httpx.TransportError) -> tuple[PowerProblem, str, str]:
    """Return problem, sentence and field of a broken conversation."""
    for cause in _chain(error):
        match cause:
            case WrongFingerprint():
                text = f"shows another certificate ({cause.shown}) than the pinned one"
                cure = "find out why, then correct option verify"
                return PowerProblem.BAD_SETTINGS, f"{text}; {cure}", "options.verify"
            case ssl.SSLCertVerificationError():
                text = f"shows a certificate that is not trusted ({cause.verify_message})"
                cure = "give its CA or its SHA-256 fingerprint in option verify"
                return PowerProblem.BAD_SETTINGS, f"{text}; {cure}", "options.verify"
            case ssl.SSLError():
                text = "does not speak TLS 1.2 or newer; check its port, or update it"
                return PowerProblem.UNREACHABLE, text, "port"
            case socket.gaierror():
                problem, text = name_problem(cause.errno)
                return problem, text, "address"
    return PowerProblem.UNREACHABLE, _SILENT, ""
