"""Every page and every dialog: no error, nothing for axe to find, nothing wider than the screen."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.urls import URLPattern, reverse
from playwright.sync_api import Page, expect

from portal.bench.rig import Api
from portal.urls import urlpatterns
from tests.e2e.browser import PHONE, WIDE, axe, listen, too_wide
from tests.e2e.story import Story

pytestmark = pytest.mark.e2e

#: An example of each kind of argument, from what stands in the box.
FIRST: dict[str, Callable[[Api], Any]] = {
    "cluster": lambda api: api.get("clusters/")[0]["id"],
    "controller": lambda api: api.get("power-controllers/")[0]["id"],
    "event": lambda api: api.get("events/")[0]["id"],
    "host": lambda api: api.get("hosts/")[0]["id"],
    "incident": lambda api: api.get("incidents/")[0]["id"],
    "scenario": lambda api: "host_comes_back_with_stale_copy",
    "operation": lambda api: api.get("operations/")[0]["id"],
    "target": lambda api: api.get("notification-targets/")[0]["id"],
    "user": lambda api: api.get("users/")[0]["id"],
    "vm": lambda api: api.get("vms/")[0]["id"],
}

#: The pages that a signed-in administrator can open, with the argument that each takes.
PAGES = {
    "overview": "",
    "clusters": "",
    "cluster-add": "",
    "cluster": "cluster",
    "hosts": "",
    "host-add": "",
    "host": "host",
    "host-policy": "host",
    "host-removal-dialog": "host",
    "power-controller-add": "host",
    "confirm-rebooted": "host",
    "vms": "",
    "vms-bulk": "",
    "vm": "vm",
    "vm-removal-dialog": "vm",
    "power-controllers": "",
    "power-controller": "controller",
    "operations": "",
    "operation": "operation",
    "events": "",
    "event": "event",
    "incidents": "",
    "incident": "incident",
    "notifications": "",
    "notification-add": "",
    "notification-target": "target",
    "self-check-page": "",
    "simulator": "",
    "scenario": "scenario",
    "global-policy": "",
    "users": "",
    "user-add": "",
    "user": "user",
    "tokens": "",
    "password": "",
    "sign-out": "",
    "account": "",
    "account_reauthenticate": "",
    "mfa_activate_totp": "",
}

#: These show all there is, wide and in the dark as well; each look of axe takes its time.
DARK_AND_WIDE = ("overview", "host", "vms", "global-policy", "incident", "scenario")

#: Addresses that are no page of such a person's, and why.
NO_PAGES = {
    "part": "a part",
    "host-what-if-part": "a part",
    "incident-part": "a part",
    "search": "a part",
    "account_login": "leads on whoever is signed in",
    "sign-in": "leads on whoever is signed in",
    "end-sessions": "takes only a form",
    "account_inactive": "for those who are shut out",
    "mfa_authenticate": "between password and code",
    "mfa_reauthenticate": "needs a second factor",
    "mfa_deactivate_totp": "needs a second factor",
    "mfa_view_recovery_codes": "needs a second factor",
    "mfa_generate_recovery_codes": "needs a second factor",
    "mfa_index": "leads on to the account",
    "openid_connect_login": "needs a provider",
    "openid_connect_callback": "needs a provider",
    "socialaccount_login_cancelled": "needs a provider",
    "socialaccount_connections": "needs a provider",
    "livez": "for machines",
    "readyz": "for machines",
    "metrics": "for machines",
}


def test_no_page_is_missing_from_the_tour() -> None:
    names = {item.name for item in urlpatterns if isinstance(item, URLPattern)}
    assert names == {*PAGES, *NO_PAGES}


@pytest.fixture
def furnished(story: Story) -> Iterator[Story]:
    """A box with an incident, a failed message and a long name, for pages that show such."""
    api = story.rig.api
    fields = {"name": "on call, the second line", "kind": "webhook", "secret": "s" * 16}
    made = api.post("notification-targets/", fields | {"address": "http://127.0.0.1:9/hook"})
    assert made.status_code == 201, made.text
    if not api.get("incidents/"):
        story.hit("host.power_off", host=story.host_with_vms())
        story.wait(lambda: api.get("incidents/"), 40, "an incident")
    yield story
    api.http.delete(f"notification-targets/{made.json()['id']}/")


def faults(page: Page, where: str, *, both: bool = True) -> list[str]:
    """Look at what is open: wide in the light (and the dark, if ``both``), narrow in the dark."""
    page.emulate_media(color_scheme="light")
    found = axe(page) + too_wide(page)
    page.emulate_media(color_scheme="dark")
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    found += axe(page, "color-contrast") if both else []
    page.set_viewport_size(PHONE)
    found += axe(page) + too_wide(page)
    page.set_viewport_size(WIDE)
    return [f"{where}: {text}" for text in found]


def test_every_page_is_without_fault_at_both_widths_in_both_schemes(
    furnished: Story, page: Page
) -> None:
    api, found = furnished.rig.api, []
    for name, kind in PAGES.items():
        given = [FIRST[kind](api)] if kind else []
        answer = page.goto(furnished.rig.url + reverse(name, args=given))
        assert answer is not None
        assert answer.status == 200, f"{name}: {answer.status}"
        # Parts that are fetched have arrived, and the socket has brought its first word.
        expect(page.locator(".nothing", has_text="Asking")).to_have_count(0)
        found += faults(page, name, both=name in DARK_AND_WIDE)
    assert not found, "\n".join(found)


def test_every_dialog_is_without_fault(page: Page, story: Story) -> None:
    url, found = story.rig.url, []
    dialog = page.locator("dialog[open]")
    for key, words in (("/", "Search"), ("Control+k", "Search"), ("?", "Keys and help")):
        page.keyboard.press(key)
        expect(page.get_by_role("dialog", name=words)).to_be_visible()
        if words == "Search":
            page.keyboard.type("node")
            expect(page.get_by_role("option").filter(has_text="node1").first).to_be_visible()
        found += faults(page, key)
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
    opened = (
        ("clusters/", "Add a cluster", "Add a cluster"),
        (f"hosts/{FIRST['host'](story.rig.api)}/", "Remove this host …", "from Holdfast"),
        (f"vms/{FIRST['vm'](story.rig.api)}/", "Remove this VM …", "from Holdfast"),
    )
    for path, link, words in opened:
        page.goto(f"{url}/{path}")
        page.get_by_role("link", name=link).click()
        expect(dialog).to_contain_text(words)
        found += faults(page, link)
        dialog.get_by_role("link", name="Cancel").click()
        expect(page.get_by_role("link", name=link)).to_be_focused()
    page.goto(f"{url}/hosts/")
    page.locator("#user-menu summary").click()
    page.get_by_label("Actions for node1").click()
    found += faults(page, "menus")
    assert not found, "\n".join(found)


def test_the_api_s_own_pages_show_no_error(page: Page, story: Story) -> None:
    complaints: list[str] = []
    listen(page, complaints)
    page.goto(f"{story.rig.url}{reverse('docs')}")
    expect(page.get_by_role("heading", name="Holdfast").first).to_be_visible()
    assert not complaints + too_wide(page)
