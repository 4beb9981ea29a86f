"""A browser as a person has it: signed in, listened to, looked at by axe."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, ConsoleMessage, Page, ViewportSize, expect

from portal.bench.rig import Rig

WIDE: ViewportSize = {"width": 1440, "height": 1000}
PHONE: ViewportSize = {"width": 390, "height": 844}

#: What the browser itself notes in its console when a form is refused as it should be.
REFUSED = re.compile(r"status of (400|401|403|412|422)")
_AXE = "async (options) => (await axe.run(document, options)).violations"


def listen(page: Page, complaints: list[str]) -> None:
    """Write down every error that the page's console shows."""

    def hear(said: ConsoleMessage) -> None:
        if said.type == "error":
            complaints.append(f"{page.url}: {said.text}")

    page.on("console", hear)
    page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))


def sign_in(page: Page, name: str, password: str) -> None:
    """Fill in the sign-in page that is open."""
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


@contextmanager
def stranger(browser: Browser, rig: Rig, complaints: list[str], **more: Any) -> Iterator[Page]:
    """Yield the sign-in page in a browser of its own."""
    # Without transitions: axe would judge colours that are on their way to others.
    context = browser.new_context(**{"viewport": WIDE, "reduced_motion": "reduce", **more})
    context.set_default_timeout(30_000)
    page = context.new_page()
    listen(page, complaints)
    page.goto(rig.url)
    try:
        yield page
    finally:
        context.close()


@contextmanager
def signed_in(
    browser: Browser, rig: Rig, complaints: list[str], name: str = "admin", password: str = ""
) -> Iterator[Page]:
    """Yield the overview as an administrator, or whoever is named, sees it."""
    with stranger(browser, rig, complaints) as page:
        sign_in(page, name, password or rig.password)
        expect(page.get_by_role("heading", name="Hosts")).to_be_visible()
        page.wait_for_load_state()  # its scripts listen to keys from now on
        yield page


def forgive(complaints: list[str]) -> None:
    """Forget the browser's notes about forms that were refused; there must be some."""
    refused = [text for text in complaints if REFUSED.search(text)]
    assert refused, "nothing was refused"
    complaints[:] = [text for text in complaints if text not in refused]


def axe(page: Page, *rules: str) -> list[str]:
    """Return what axe-core finds wrong on a page as it stands; ``rules``: only these."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = list(rules)
    found = page.evaluate(_AXE, options)
    return [f"{item['id']}: {node['html'][:200]}" for item in found for node in item["nodes"]]


def too_wide(page: Page) -> list[str]:
    """Say so when a page must be scrolled to the side."""
    root = "document.documentElement"
    over = page.evaluate(f"{root}.scrollWidth - {root}.clientWidth")
    return [f"{over} px wider than {page.viewport_size}"] if over > 0 else []
