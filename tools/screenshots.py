"""Make the pictures of docs/ on a box of their own: ``python -m tools.screenshots``.

Each must show what docs/README.md says of it; look at them before committing.
"""

import os
import re
import shutil
import tempfile
from pathlib import Path

os.environ.setdefault("HOLDFAST_VAR", tempfile.mkdtemp(prefix="holdfast-shots-"))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

import django

django.setup()

from playwright.sync_api import Browser, Page, expect, sync_playwright  # noqa: E402 - Django first

from portal.bench.rig import Rig, running, until  # noqa: E402 - Django first

DOCS = Path(__file__).resolve().parent.parent / "docs"


def _open(browser: Browser, rig: Rig, width: int, height: int, scheme: str) -> Page:
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page = context.new_page()
    page.goto(rig.url)
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill(rig.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Pull power").first).to_be_visible(timeout=20_000)
    return page


def main() -> None:
    """Pull one cord, photograph what the portal says, confirm, photograph the incident."""
    with running() as rig, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = _open(browser, rig, 1440, 1000, "light")
        page.screenshot(path=DOCS / "overview.png")
        rig.control.do("power.cut", host="node1")
        ask = page.get_by_role("link", name=re.compile("Confirm node1 was rebooted")).first
        expect(ask).to_be_visible(timeout=60_000)
        ask.click()
        page.screenshot(path=DOCS / "confirm.png")
        page.get_by_label(re.compile("Type the host")).fill("node1")
        page.get_by_label(re.compile("How do you know")).fill("I pulled its cord myself")
        page.get_by_role("button", name=re.compile("Confirm node1")).click()
        until(lambda: len(rig.up()) == len(rig.box.vms), 60, "all VMs up again", every=0.2)
        rig.control.do("power.restore", host="node1")
        page.goto(f"{rig.url}/incidents/{rig.api.get('incidents/')[0]['id']}/")
        page.screenshot(path=DOCS / "incident.png", full_page=True)
        phone = _open(browser, rig, 390, 844, "dark")
        phone.screenshot(path=DOCS / "phone.png")
        browser.close()


if __name__ == "__main__":
    main()
