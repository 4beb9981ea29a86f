"""Whose certificate the Redfish driver takes: option ``verify``.

Absent: what this server's CAs have signed for the address.  A path: what that CA has
signed.  ``sha256:…``: this one certificate, whatever it says.  ``off``: any.
"""

import hashlib
import ssl
from pathlib import Path

from fencing.domain.power import PowerProblem
from fencing.power.port import Bmc, error_of

_PIN = "sha256:"
_MOST_BYTES = 1 << 20  # of a CA file


class WrongFingerprint(ssl.SSLError):
    """The certificate is not the pinned one; ``shown`` is what it is."""

    def __init__(self, shown: str) -> None:
        super().__init__("another certificate")
        self.shown = shown


def trust(bmc: Bmc) -> ssl.SSLContext:
    """Return the TLS context of this BMC; ``PowerError(BAD_SETTINGS)`` without a usable CA."""
    verify = bmc.options.get("verify", "")
    if not verify:
        return ssl.create_default_context()
    if verify.startswith("/"):
        return _from_file(bmc, Path(verify))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if verify.startswith(_PIN):
        context.sslobject_class = _pinned(verify.removeprefix(_PIN).replace(":", "").lower())
    return context


def _from_file(bmc: Bmc, path: Path) -> ssl.SSLContext:
    try:
        # Only regular files: a pipe or a device would be read for ever.
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            raise OSError
        return ssl.create_default_context(cafile=str(path))
    except OSError as error:
        text = "cannot be verified: the file in option verify is no readable CA file (PEM) here"
        raise error_of(bmc, PowerProblem.BAD_SETTINGS, text, field="options.verify") from error


def _pinned(wanted: str) -> type[ssl.SSLObject]:
    """Return a TLS connection that ends its handshake with no other certificate than this."""

    class Pinned(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            shown = hashlib.sha256(self.getpeercert(binary_form=True) or b"").hexdigest()
            if shown != wanted:
                raise WrongFingerprint(f"{_PIN}{shown}")

    return Pinned
