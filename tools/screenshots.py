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
WAIT_MS = 60_000


def _open(browser: Browser, rig: Rig, width: int, height: int, scheme: str) -> Page:
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto(rig.url)
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill(rig.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Pull power").first).to_be_visible()
    return page


def _proven(rig: Rig) -> bool:
    """Whether every BMC has told whose it is; those that were asked too early are asked again."""
    open_ones = [row for row in rig.api.get("power-controllers/") if row["identity"] != "proven"]
    for row in open_ones:
        rig.api.post(f"power-controllers/{row['id']}/actions/test/")
    return not open_ones


def _shoot(page: Page, name: str) -> None:
    """Photograph what is on the screen, once it says that it is live."""
    expect(page.locator("#live-sign")).to_contain_text("live")
    page.screenshot(path=DOCS / f"{name}.png")


def _confirm(page: Page, rig: Rig) -> None:
    """Cut a host's cord, say so, and show what has become of it."""
    rig.control.do("power.cut", host="node1")
    ask = page.get_by_role("link", name=re.compile("Confirm node1 was rebooted")).first
    expect(ask).to_be_visible()
    ask.click()
    expect(page.get_by_role("link", name="Cancel")).to_be_focused()
    _shoot(page, "confirm")
    page.get_by_label(re.compile("Type the host")).fill("node1")
    page.get_by_label(re.compile("How do you know")).fill("I pulled its cord myself")
    page.get_by_role("button", name=re.compile("Confirm node1")).click()
    until(lambda: len(rig.up()) == len(rig.box.vms), 60, "all VMs up again", every=0.2)
    rig.control.do("power.restore", host="node1")
    page.goto(f"{rig.url}/incidents/{rig.api.get('incidents/')[0]['id']}/")
    _shoot(page, "incident")
    page.goto(f"{rig.url}/operations/")
    _shoot(page, "operations")


def _lists(page: Page, rig: Rig) -> None:
    """The pages of daily work."""
    page.goto(f"{rig.url}/hosts/")
    _shoot(page, "hosts")
    page.goto(f"{rig.url}/hosts/{rig.api.named('hosts/', 'node2')['id']}/")
    expect(page.locator(".what-if-text")).to_be_visible()
    _shoot(page, "host")
    page.goto(f"{rig.url}/vms/{rig.api.named('vms/', 'db1')['id']}/")
    _shoot(page, "vm")
    page.goto(f"{rig.url}/clusters/{rig.api.get('clusters/')[0]['id']}/")
    page.locator("#policy-title").evaluate("(title) => title.scrollIntoView()")
    page.mouse.wheel(0, -70)  # the strip above stays in view, and would hide the title
    _shoot(page, "policy")
    page.goto(f"{rig.url}/self-check/")
    _shoot(page, "self-check")


def _wizard(page: Page, rig: Rig) -> None:
    """A host of which nothing is known yet but its address."""
    page.goto(f"{rig.url}/hosts/add/")
    page.get_by_role("button", name="Fill in its address").click()
    page.get_by_role("button", name="Test the connection").click()
    expect(page.get_by_role("heading", name="This is what was found")).to_be_visible()
    _shoot(page, "add-host")


def _simulator(page: Page, rig: Rig) -> None:
    """A scenario, at the step at which its host is about to be fenced."""
    page.goto(f"{rig.url}/simulator/isolated_then_dies/?step=16")
    _shoot(page, "simulator")


def main() -> None:
    """Photograph a calm data centre, the way to a new host, and one that loses its power."""
    expect.set_options(timeout=WAIT_MS)
    with running() as rig, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        until(lambda: _proven(rig), 60, "BMCs of proven identity", every=1)
        page = _open(browser, rig, 1440, 1000, "light")
        home = page.get_by_text("Whichever host dies, every HA VM finds a home")
        expect(home).to_be_visible(timeout=2 * WAIT_MS)
        _shoot(page, "overview")
        _lists(page, rig)
        _wizard(page, rig)
        _simulator(page, rig)
        page.goto(rig.url)
        _confirm(page, rig)
        _shoot(_open(browser, rig, 390, 844, "dark"), "phone")
        browser.close()


if __name__ == "__main__":
    main()
