"""From the sign-in page to a confirmed reboot without a mouse, always seeing where one is."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browser import axe, stranger
from tests.e2e.story import Story

pytestmark = pytest.mark.e2e

#: What of the focused element the eye needs: an outline, or a shadow that stands for it.
SEEN = """() => {
  const style = getComputedStyle(document.activeElement);
  const box = document.activeElement.getBoundingClientRect();
  const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
  const inside = box.bottom > 0 && box.top < innerHeight && box.width > 0;
  return inside && (ring || style.boxShadow !== "none");
}"""
WORDS = """() => {
  const at = document.activeElement;
  const label = at.labels?.[0]?.textContent || at.getAttribute("aria-label") || at.textContent;
  return label.replace(/\\s+/g, " ").trim();
}"""


def tab_to(page: Page, words: str, most: int = 80) -> None:
    """Press Tab until what is focused begins with ``words``; each stop on the way is visible."""
    passed = []
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            continue  # the browser's own bar, between the page's end and its beginning
        stop = page.evaluate(WORDS)
        assert page.evaluate(SEEN), f"the focus is on “{stop}”, and nobody sees it"
        if stop.startswith(words):
            return
        passed.append(stop)
    raise AssertionError(f"Tab never came to “{words}”, only to {passed}")


def fill_in(page: Page, host: str) -> None:
    """Fill in the dialog that is open, and send it."""
    tab_to(page, "Type the host")
    page.keyboard.type(host)
    tab_to(page, "How do you know?")
    page.keyboard.type("I pulled its cord myself")
    tab_to(page, f"Confirm {host} was rebooted")
    page.keyboard.press("Enter")


def test_a_reboot_is_confirmed_with_the_keyboard_alone(
    chromium: Browser, story: Story, complaints: list[str]
) -> None:
    host = story.host_with_vms()
    lost = story.vms_on(host)
    story.hit("power.cut", host=host)
    story.wait(lambda: "confirm_reboot" in story.alerts(), 60, "the question to a person")

    with stranger(chromium, story.rig, complaints) as page:
        expect(page.get_by_label("Name")).to_be_focused()
        page.keyboard.type("admin")
        tab_to(page, "Password")
        page.keyboard.type(story.rig.password)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Needs a person")).to_be_visible()

        tab_to(page, "Skip to the content", 1)
        page.keyboard.press("Enter")
        tab_to(page, f"Confirm {host} was rebooted")
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_role("link", name="Cancel")).to_be_focused()
        assert not axe(page)

        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        assert page.evaluate(WORDS).startswith(f"Confirm {host} was rebooted")
        page.keyboard.press("Enter")
        expect(dialog.get_by_role("link", name="Cancel")).to_be_focused()

        fill_in(page, host)
        expect(dialog).to_contain_text("Your word about")
        story.wait_elsewhere(lost, host)
        expect(dialog).to_contain_text("accepted")
        page.keyboard.press("Enter")
        expect(dialog).to_be_hidden()
