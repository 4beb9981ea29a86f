"""The signature of a webhook: who sent it, when, and that nobody changed it."""

import hashlib
import hmac


def signature(secret: str, body: bytes, at: int) -> str:
    """Return the header for ``body`` sent at the second ``at`` (Unix time)."""
    signed = f"{at}.".encode() + body
    return f"t={at},v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"
