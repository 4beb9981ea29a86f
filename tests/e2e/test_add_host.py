"""A host is added by hand, its VMs are taken over, it dies, and it is taken away again.

On a rig of its own: what it adds to the data centre would be in the way of the others.
"""

from collections.abc import Iterator

import libvirt
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from portal.bench.rig import running
from tests.e2e.browser import axe, forgive, signed_in
from tests.e2e.conftest import watched
from tests.e2e.story import Story

pytestmark = pytest.mark.e2e

STRANGERS = {"wiki1", "git1"}


@pytest.fixture(scope="module")
def own() -> Iterator[Story]:
    """A box whose spare host nobody has touched."""
    with running() as rig:
        yield Story(rig)


def step(page: Page, title: str) -> Locator:
    """Return the step of the wizard that must be open now."""
    expect(page.get_by_role("heading", name=title)).to_be_visible(timeout=60_000)
    expect(page.locator("[data-step]:visible")).to_have_count(1)
    return page.locator("[data-step]:visible")


def press(page: Page, words: str) -> None:
    page.get_by_role("button", name=words).click()


def domain_ids(story: Story, host: str) -> dict[str, int]:
    """Return the number that libvirt gave each running VM of a host when it was started."""
    connection = libvirt.open(story.rig.machine(host).uri)
    try:
        return {domain.name(): domain.ID() for domain in connection.listAllDomains()}
    finally:
        connection.close()


def type_a_wrong_address(page: Page, complaints: list[str]) -> None:
    """The error stands at the field, and what was typed stays."""
    step(page, "Where is it?")
    field = page.get_by_label("libvirt URI")
    field.fill("test+tcp://127.0.0.1:9/default")
    press(page, "Test the connection")
    expect(page.locator(".field", has=field).get_by_role("alert")).to_be_visible(timeout=60_000)
    expect(field).to_be_focused()
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_value("test+tcp://127.0.0.1:9/default")
    assert not axe(page)
    forgive(complaints)


def refused_at(page: Page, label: str) -> Locator:
    """Return what is said at a field of the open step that was refused, and marked."""
    place = page.locator("[data-step]:visible .field", has=page.get_by_label(label))
    field, error = place.get_by_label(label), place.get_by_role("alert")
    expect(error).to_be_visible(timeout=60_000)
    expect(field).to_be_focused()
    expect(field).to_have_attribute("aria-invalid", "true")
    return error


def ask_what_it_must_have(page: Page, complaints: list[str]) -> None:
    """The list is about the URI as it is typed; what is none is told in words."""
    field, needs = page.get_by_label("libvirt URI"), page.locator("#preflight")
    needs.locator("summary").click()
    expect(needs).to_contain_text("Type the address first.")

    def typed(uri: str) -> None:
        field.fill(uri)
        field.blur()

    typed("db-host")
    titles = needs.get_by_role("heading")
    expect(titles).to_have_text(
        ["For qemu+tls", "For qemu+ssh", "For qemu+tcp", "In any case"], timeout=30_000
    )
    expect(needs).to_contain_text("nc -vz -w 3 db-host 16514")
    typed("qemu+ssh://root@hv7:2222/system")
    expect(titles).to_have_text(["For qemu+ssh", "In any case"])
    copied = needs.get_by_role("listitem").filter(has_text="ssh-copy-id -p 2222 root@hv7")
    expect(copied).to_contain_text("On the portal's machine")
    assert not axe(page)
    typed("qemu:///system")
    expect(needs).to_contain_text("no host is named")
    expect(needs.get_by_role("listitem")).to_have_count(0)
    needs.locator("summary").click()
    forgive(complaints)


def type_a_known_address(page: Page, uri: str) -> None:
    page.get_by_label("libvirt URI").fill(uri)
    press(page, "Test the connection")
    told = refused_at(page, "libvirt URI")
    expect(told).to_contain_text("This machine is a host already: node1")
    step(page, "Where is it?")


def see_what_was_found(page: Page, complaints: list[str]) -> None:
    press(page, "Fill in its address")
    press(page, "Test the connection")
    found = step(page, "This is what was found")
    for name in STRANGERS:
        expect(found.get_by_label(f"Take over {name}")).to_be_checked()
    expect(found.get_by_label("Name of the host")).to_have_value("node4")
    assert not axe(page)
    for taken in ("node1", "my host"):
        found.get_by_label("Name of the host").fill(taken)
        press(page, "Go on to its power")
        refused_at(page, "Name of the host")
        forgive(complaints)
    found.get_by_label("Name of the host").fill("node4")
    press(page, "Go on to its power")


def prove_its_power(page: Page, complaints: list[str], right: str) -> None:
    """A wrong password is told apart; the right one proves whose BMC it is."""
    power = step(page, "How is its power switched?")
    options, password = power.get_by_label("Options"), power.get_by_label("Password")
    password.fill("not the password")
    options.fill("{nojson")
    press(page, "Test its power")
    expect(refused_at(page, "Options")).to_contain_text("no JSON")
    options.fill("")
    press(page, "Test its power")
    wrong = power.locator(".field", has=page.get_by_label("Password")).get_by_role("alert")
    expect(wrong).to_contain_text("password", timeout=60_000)
    forgive(complaints)
    password.fill(right)
    press(page, "Test its power")
    expect(power).to_contain_text("It is this host's own BMC", timeout=60_000)
    expect(power.get_by_role("alert")).to_have_count(0)
    assert not axe(page)
    power.get_by_role("button", name="Go on", exact=True).click()


def be_refused_at_the_end(page: Page, own: Story, complaints: list[str]) -> None:
    """The step of the wrong field opens, and the cluster made for the host is gone again."""
    last = step(page, "Into which cluster?")
    clusters = own.rig.api.get("clusters/")
    last.locator("[name=cluster]").select_option("new")
    name = last.get_by_label("Name of the new cluster")
    name.fill(clusters[0]["name"])
    press(page, "Add the host")
    refused_at(page, "Name of the new cluster")
    name.fill("garage")
    own.hit("bmc.auth_fail", host="node4")
    press(page, "Add the host")
    power = step(page, "How is its power switched?")
    refused_at(page, "Password")
    assert own.rig.api.get("clusters/") == clusters
    own.hit("bmc.repair", host="node4")
    press(page, "Test its power")
    expect(power).to_contain_text("It is this host's own BMC", timeout=60_000)
    power.get_by_role("button", name="Go on", exact=True).click()
    expect(last.locator("[name=cluster]")).to_have_value("new")
    last.locator("[name=cluster]").select_option(label=clusters[0]["name"])
    forgive(complaints)


def finish(page: Page) -> None:
    last = step(page, "Into which cluster?")
    press(page, "Back")
    expect(step(page, "How is its power switched?").get_by_label("User", exact=True)).to_have_value(
        "admin"
    )
    page.get_by_role("button", name="Go on", exact=True).click()
    expect(last).to_contain_text("Taken over and put under HA: ")
    assert not axe(page)
    press(page, "Add the host")
    expect(page.locator("h1")).to_contain_text("node4", timeout=60_000)


def take_it_away(page: Page) -> None:
    """Out of service first: until then the dialog says what stands against it."""
    page.get_by_role("link", name="Remove this host …").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("It cannot be removed now")
    dialog.get_by_role("link", name="Cancel").click()
    page.get_by_label("Actions for node4").click()
    press(page, "Into maintenance")
    expect(page.locator("h1")).to_contain_text("maintenance", timeout=60_000)
    page.get_by_role("link", name="Remove this host …").click()
    expect(dialog).to_contain_text("This stays behind")
    other = page.context.new_page()
    other.goto(page.url)
    expect(dialog).to_contain_text("the BMC account admin at 127.0.0.1")
    dialog.get_by_role("button", name="Remove node4").click()
    expect(page.get_by_role("heading", name="Hosts", exact=True)).to_be_visible()
    expect(page.get_by_role("rowheader", name="node3")).to_be_visible()
    expect(page.get_by_role("rowheader", name="node4")).to_have_count(0)
    expect(other.get_by_role("alert").first).to_contain_text("This was removed meanwhile")


def protected(story: Story, vm: str) -> bool:
    """Whether it is under HA, and its host can be proven off."""
    found = story.vm(vm)
    return bool(found["ha"] and found["protection"]["protected"])


def test_a_person_adds_a_host_loses_it_and_takes_it_away(
    own: Story, chromium: Browser, complaints: list[str]
) -> None:
    before = domain_ids(own, "node4")
    assert before.keys() == STRANGERS
    with watched(own), signed_in(chromium, own.rig, complaints) as page:
        page.get_by_role("link", name="Hosts").first.click()
        page.get_by_role("link", name="Add a host").click()
        ask_what_it_must_have(page, complaints)
        type_a_wrong_address(page, complaints)
        type_a_known_address(page, own.rig.machine("node1").uri)
        see_what_was_found(page, complaints)
        prove_its_power(page, complaints, own.rig.machine("node4").bmc_password)
        be_refused_at_the_end(page, own, complaints)
        finish(page)
        own.wait(lambda: own.vms_on("node4") == STRANGERS, 60, "its VMs under the portal")
        own.wait(own.rig.calm, 60, "four hosts that are well")
        own.wait(lambda: all(protected(own, name) for name in STRANGERS), 60, "protection")
        assert domain_ids(own, "node4") == before, "a VM was stopped by being taken over"
        own.hit("host.power_off", host="node4")
        own.wait_elsewhere(STRANGERS, "node4")
        own.wait(own.rig.calm, 90, "the host to be back")
        take_it_away(page)
    assert own.rig.truth().keys() >= STRANGERS
