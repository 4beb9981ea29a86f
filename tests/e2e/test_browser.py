"""A person at the page: sign in, watch live, cut the power, confirm a reboot."""

import re

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.browser import forgive, sign_in, stranger
from tests.e2e.story import Story

pytestmark = pytest.mark.e2e


def row(page: Page, table: str, name: str) -> Locator:
    """Return the row of a host or VM in the table under a heading."""
    section = page.locator("section", has=page.get_by_role("heading", name=table))
    return section.get_by_role("row").filter(has=page.get_by_role("rowheader", name=name))


def test_a_wrong_password_is_refused_without_saying_which_part(
    chromium: Browser, story: Story, complaints: list[str]
) -> None:
    with stranger(chromium, story.rig, complaints) as page:
        sign_in(page, "admin", "wrong")
        expect(page.get_by_role("alert")).to_contain_text("Name or password is wrong")


def test_a_person_pulls_the_power_and_watches_the_vms_come_up_elsewhere(
    page: Page, story: Story
) -> None:
    host = story.host_with_vms()
    lost = story.vms_on(host)
    page.evaluate("window.neverReloaded = true")

    faults = page.locator(".fault-row").filter(has_text=host)
    faults.get_by_role("button", name="Pull power").click()

    for name in lost:
        home = row(page, "Virtual machines", name)
        expect(home).not_to_contain_text(host, timeout=30_000)
        expect(home).to_contain_text(re.compile("up", re.IGNORECASE), timeout=30_000)
    assert page.evaluate("window.neverReloaded") is True

    page.get_by_role("link", name=re.compile(f"{host} does not answer")).first.click()
    expect(page.get_by_text("Row 2: proven off by its BMC").first).to_be_visible()
    for name in lost:
        expect(page.get_by_text(name).first).to_be_visible()


def test_a_person_confirms_a_reboot_by_hand(
    page: Page, story: Story, complaints: list[str]
) -> None:
    host = story.host_with_vms()
    lost = story.vms_on(host)
    faults = page.locator(".fault-row").filter(has_text=host)
    faults.get_by_role("button", name="Cut power cord").click()

    ask = page.get_by_role("link", name=re.compile(f"Confirm {host} was rebooted"))
    expect(ask.first).to_be_visible(timeout=40_000)
    ask.first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("link", name="Cancel")).to_be_focused()
    for name in lost:
        expect(dialog).to_contain_text(name)

    dialog.get_by_label(re.compile("Type the host")).fill("not the name")
    dialog.get_by_label(re.compile("How do you know")).fill("I pulled its cord")
    dialog.get_by_role("button", name=re.compile("Confirm")).click()
    expect(dialog.get_by_role("alert")).to_contain_text(host)
    expect(dialog.get_by_label(re.compile("How do you know"))).to_have_value("I pulled its cord")
    forgive(complaints)

    dialog.get_by_label(re.compile("Type the host")).fill(host)
    dialog.get_by_role("button", name=re.compile("Confirm")).click()
    story.wait_elsewhere(lost, host)
    expect(dialog).to_contain_text("accepted", timeout=10_000)


def test_the_page_says_so_when_live_updates_are_lost_and_recovers(
    page: Page, story: Story, complaints: list[str]
) -> None:
    with story.rig.held_down("web"):
        expect(page.get_by_text(re.compile("lost", re.IGNORECASE)).first).to_be_visible(
            timeout=20_000
        )
    story.wait(story.rig.ready, 30, "the web server to be back")
    expect(page.get_by_text(re.compile("updates? (are )?lost", re.IGNORECASE))).to_be_hidden(
        timeout=30_000
    )
    # A browser complains of every broken connection, in the words of the moment at which it
    # broke; anything else would be a fault of ours.
    broken = re.compile(r"net::ERR_|WebSocket connection to .* failed")
    refused = [text for text in complaints if broken.search(text)]
    assert refused
    complaints[:] = [text for text in complaints if text not in refused]
