"""A scenario is watched step by step: by keys, slider and picture, and without a script."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browser import PHONE
from tests.e2e.story import Story

pytestmark = pytest.mark.e2e

PATH = "/simulator/isolated_then_dies/"
IN_VIEW = """() => {
  const box = document.querySelector(".sim-scroll").getBoundingClientRect();
  const cursor = document.getElementById("sim-cursor").getBoundingClientRect();
  return cursor.left >= box.left && cursor.right <= box.right;
}"""


def at(page: Page, step: int) -> None:
    """Wait until the page shows a step, and check that its cursor can be seen."""
    expect(page.locator("[data-now-step]")).to_have_attribute("data-now-step", str(step))
    expect(page.locator("#sim-slider")).to_have_value(str(step))
    assert page.url.endswith(f"?step={step}")
    assert page.evaluate(IN_VIEW), f"the cursor of step {step} is out of view"


def test_keys_slider_and_picture_lead_through_a_scenario(page: Page, story: Story) -> None:
    page.set_viewport_size(PHONE)
    page.goto(story.rig.url + PATH)
    page.keyboard.press("ArrowRight")
    at(page, 5)
    page.keyboard.press("ArrowLeft")
    at(page, 4)
    page.get_by_role("link", name="Last").click()
    at(page, 27)
    expect(page.get_by_role("link", name="First")).to_be_focused()
    page.locator("#sim-slider").fill("16")
    at(page, 16)
    expect(page.locator("#sim-said")).to_contain_text("HA of node1 is now “being fenced”")
    page.locator("#sim-log summary").click()
    page.get_by_role("link", name="host.panic node1").click()
    at(page, 13)
    expect(page.locator("#sim-log")).to_have_attribute("open", "")
    page.locator('.sim-mark[data-step="4"]').click()
    at(page, 4)


def test_a_scenario_can_be_watched_without_a_script(
    chromium: Browser, page: Page, story: Story
) -> None:
    context = chromium.new_context(
        java_script_enabled=False, storage_state=page.context.storage_state()
    )
    plain = context.new_page()
    plain.goto(story.rig.url + PATH)
    plain.get_by_role("link", name="Forward").click()
    expect(plain.get_by_text("Step 5 of 27")).to_be_visible()
    expect(plain.locator("#sim-slider")).to_be_hidden()
    context.close()
