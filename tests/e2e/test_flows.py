"""What a person does in daily work, by the pages alone: forms, people, tokens, lists, drills."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Dialog, Locator, Page, expect

from portal.bench.rig import Rig
from tests.e2e.browser import forgive, sign_in, signed_in, stranger
from tests.e2e.story import Story
from tests.notify.receivers import SECRET, web_receiver

pytestmark = pytest.mark.e2e


def press(page: Page, words: str) -> None:
    page.get_by_role("button", name=words, exact=True).click()


def policy_form(page: Page, story: Story) -> Locator:
    """Open the page of the cluster; return the form of its policy."""
    page.goto(f"{story.rig.url}/clusters/{story.rig.api.get('clusters/')[0]['id']}/")
    return page.locator("form", has=page.get_by_role("button", name="Save the policy"))


def policy(rig: Rig) -> dict[str, object]:
    found: dict[str, object] = rig.api.get("clusters/")[0]["policy"]
    return found


def test_the_second_of_two_admins_sees_both_versions_and_chooses(
    page: Page, story: Story, chromium: Browser, complaints: list[str]
) -> None:
    with signed_in(chromium, story.rig, complaints) as other:
        mine, theirs = policy_form(page, story), policy_form(other, story)
        theirs.get_by_label("Grace").fill("12")
        press(other, "Save the policy")
        expect(other.locator("#toasts")).to_contain_text("The policy is saved")

        mine.get_by_label("Grace").fill("14")
        press(page, "Save the policy")
        both = mine.get_by_role("alert")
        expect(both).to_contain_text("Nothing was written")
        expect(both.get_by_role("row").last.get_by_role("cell")).to_have_text(
            ["grace seconds", "12", "14"]
        )
        assert policy(story.rig) == {"grace": 12}
        both.get_by_role("button", name="Save mine over theirs").click()
        story.wait(lambda: policy(story.rig) == {"grace": 14}, 20, "mine to be saved")

        theirs.get_by_label("Grace").fill("16")
        press(other, "Save the policy")
        theirs.get_by_role("button", name="Take theirs into the form").click()
        expect(theirs.get_by_label("Grace")).to_have_value("14")
        press(other, "Save the policy")
        expect(other.locator("#toasts")).to_contain_text("Their values")
    assert policy(story.rig) == {"grace": 14}
    forgive(complaints)


def test_only_settings_that_were_changed_hold_a_person_back(page: Page, story: Story) -> None:
    asked: list[str] = []

    def leave(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", leave)
    form = policy_form(page, story)
    for wish in ("", "on", ""):
        choice = form.get_by_label("fence alone")
        choice.select_option(wish)  # a person did something: the browser may ask from now on
        page.get_by_role("link", name="Events").first.click()
        page.wait_for_url("**/events/")
        assert asked == (["beforeunload"] if wish else []), wish
        asked.clear()
        form = policy_form(page, story)


def test_a_click_is_not_lost_when_the_page_is_renewed_between_press_and_release(
    page: Page, story: Story
) -> None:
    page.goto(f"{story.rig.url}/hosts/")
    part = page.locator("[data-live-url]", has=page.locator("tbody"))
    link = part.get_by_role("link", name="node2", exact=True)
    # Asked until it answers: a renewal between two questions leaves the link without a box.
    box = story.wait(link.bounding_box, 20, "the host's link")
    assert box
    page.mouse.move(box["x"] + 4, box["y"] + box["height"] / 2)
    page.mouse.down()
    part.evaluate("""async (part) => {
        part.lastHtml = part.dataset.fetchedAt = "";
        holdfast.refreshAll();
        while (!part.dataset.fetchedAt) await new Promise(requestAnimationFrame);
    }""")
    page.mouse.up()
    page.wait_for_url("**/hosts/*/")


def test_a_form_keeps_what_was_typed_on_an_error_and_when_the_session_ended(
    page: Page, story: Story, complaints: list[str]
) -> None:
    form = policy_form(page, story)
    grace, looks = form.get_by_label("Grace"), form.get_by_label("Missed polls")
    looks.fill("3")
    grace.fill("never")
    press(page, "Save the policy")
    expect(grace).to_have_attribute("aria-invalid", "true")
    expect(grace).to_have_value("never")
    expect(looks).to_have_value("3")

    page.context.clear_cookies()
    grace.fill("11")
    press(page, "Save the policy")
    expect(form.locator("[data-form-errors]")).to_contain_text("You are no longer signed in")
    tab = page.context.new_page()
    tab.goto(f"{story.rig.url}/account/")
    sign_in(tab, "admin", story.rig.password)
    expect(tab.get_by_role("heading", name="admin")).to_be_visible()
    press(page, "Save the policy")
    expect(page.locator("#toasts")).to_contain_text("The policy is saved")
    assert policy(story.rig) == {"grace": 11, "missed_polls": 3}
    forgive(complaints)


@contextmanager
def somebody(page: Page, story: Story, name: str) -> Iterator[str]:
    """Add a user by the pages; yield the one-time password, and remove the user at the end."""
    page.get_by_role("link", name="Users and roles").click()
    page.get_by_role("link", name="Add a user").click()
    page.get_by_label("Name to sign in with").fill(name)
    press(page, "Add the user")
    expect(page.get_by_text("it is shown only this once")).to_be_visible()
    try:
        yield page.locator("[data-secret-text]").inner_text()
    finally:
        rows = story.rig.api.get("users/")
        pk = next(row["id"] for row in rows if row["username"] == name)
        story.rig.api.http.delete(f"users/{pk}/")


def test_a_new_user_must_choose_a_password_and_may_only_look_as_a_viewer(
    page: Page, story: Story, chromium: Browser, complaints: list[str]
) -> None:
    with somebody(page, story, "vera") as given, stranger(chromium, story.rig, complaints) as hers:
        page.get_by_role("link", name="I have it: go on").click()
        press(page, "Give the role")
        expect(page.get_by_role("rowheader", name="viewer")).to_be_visible()

        sign_in(hers, "vera", given)
        expect(hers.get_by_role("heading", name="Choose your own password")).to_be_visible()
        hers.goto(f"{story.rig.url}/hosts/")
        expect(hers.get_by_role("heading", name="Choose your own password")).to_be_visible()
        for label, text in (
            ("Old password", given),
            ("New password", "a long phrase of hers"),
            ("New password confirmation", "a long phrase of hers"),
        ):
            hers.get_by_label(label, exact=True).fill(text)
        press(hers, "Change password")
        expect(hers.get_by_role("heading", name="Hosts")).to_be_visible()
        pk = story.rig.api.get("vms/")[0]["id"]
        for path in ("", "hosts/", "vms/", f"vms/{pk}/", "clusters/", "policy/"):
            hers.goto(f"{story.rig.url}/{path}")
            expect(hers.locator("#main h1").first).to_be_attached()
            acts = hers.locator("[data-action], [data-rest] button, [data-dialog]:visible")
            expect(acts).to_have_count(0)
        expect(hers.get_by_role("link", name="Users and roles")).to_have_count(0)


def test_a_token_is_shown_once_and_works(page: Page, story: Story) -> None:
    page.get_by_role("link", name="API tokens").first.click()
    page.get_by_label("What it is for").fill("backup script")
    press(page, "Make the token")
    expect(page.get_by_text("it is shown only this once")).to_be_visible()
    token = page.locator("[data-secret-text]").inner_text()
    told = story.rig.api.http.get("hosts/", headers={"Authorization": f"Bearer {token}"})
    assert told.status_code == 200
    page.get_by_role("link", name="I have it: go on").click()
    row = page.get_by_role("row").filter(has_text="backup script")
    expect(row).to_be_visible()
    assert token not in page.content()
    page.on("dialog", lambda asked: asked.accept())
    row.get_by_role("button").click()
    story.wait(
        lambda: (
            story.rig.api.http.get(
                "hosts/", headers={"Authorization": f"Bearer {token}"}
            ).status_code
            == 401
        ),
        20,
        "the token to be worthless",
    )
    expect(row).to_have_count(0)  # a browser that is closed in the midst of a question hangs


def test_ha_of_many_is_set_after_its_effect_was_shown(page: Page, story: Story) -> None:
    page.get_by_role("link", name="Virtual machines").first.click()
    for name in ("db1", "web1"):
        page.get_by_label(f"Choose {name}").check()
    page.get_by_role("link", name="Set HA of these").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Priority").fill("70")
    dialog.get_by_role("button", name="Show what would change").click()
    would = dialog.get_by_role("list", name="What would change")
    expect(would.get_by_role("listitem")).to_have_text(["db1: priority 90 → 70", "web1: nothing"])
    assert story.vm("db1")["priority"] == 90
    dialog.get_by_role("button", name="Change them").click()
    expect(dialog).to_contain_text("1 VM changed")
    assert story.vm("db1")["priority"] == 70
    path = f"vms/{story.vm('db1')['id']}/"
    tag = story.rig.api.http.get(path).headers["ETag"]
    story.rig.api.http.patch(path, json={"priority": 90}, headers={"If-Match": tag})


def test_an_operation_shows_its_progress_and_is_cancelled_in_time(page: Page, story: Story) -> None:
    host = story.host_with_vms()
    story.hit("bmc.slow_off", host=host, s=30)
    pk = story.host(host)["id"]
    with story.rig.held_down("fence"):
        where = story.act("hosts", pk, "fence", action="status").headers["Location"]
        slug = where.rstrip("/").rsplit("/", 1)[-1]
        page.goto(f"{story.rig.url}/operations/?state=open")
        page.get_by_role("link", name=f"Open operation {slug}").click()
        expect(page.get_by_label("Progress")).to_contain_text("asked for")
        page.on("dialog", lambda asked: asked.accept())
        press(page, "Cancel")
        expect(page.get_by_label("Progress")).to_contain_text("cancelled")
    press(page, "Try again")
    story.wait(
        lambda: story.rig.api.get("operations/", state="done")[0]["target"]["name"] == host,
        60,
        "the second try",
    )


def test_a_webhook_is_entered_and_tested_by_the_page(page: Page, story: Story) -> None:
    with web_receiver() as receiver:
        page.get_by_role("link", name="Notifications").click()
        page.get_by_role("link", name="Tell somebody").first.click()
        page.get_by_label("Name", exact=True).fill("on call")
        page.get_by_label("How").select_option("webhook")
        page.get_by_label("Mail address, or URL").fill(receiver.url)
        page.get_by_label("Secret of the webhook").fill(SECRET)
        press(page, "Save")
        row = page.get_by_role("row").filter(has_text="on call")
        row.get_by_role("button", name="Send a test").click()
        story.wait(lambda: receiver.calls, 30, "the test to arrive")
        assert receiver.calls[0].is_signed()
        log = page.locator("section", has=page.get_by_role("heading", name="Delivery log"))
        expect(log.get_by_role("row").nth(1)).to_contain_text("done")
        row.get_by_role("link", name="on call").click()
        page.on("dialog", lambda asked: asked.accept())
        press(page, "Remove")
        expect(page.get_by_role("heading", name="Notifications")).to_be_visible()
        story.wait(lambda: not story.rig.api.get("notification-targets/"), 20, "no target left")


def test_what_a_death_would_mean_is_shown_and_a_fire_drill_passes(page: Page, story: Story) -> None:
    host = story.host_with_vms()
    names = story.vms_on(host)
    page.goto(f"{story.rig.url}/hosts/{story.host(host)['id']}/")
    fates = page.locator("section", has=page.get_by_role("heading", name="What if"))
    expect(fates).to_contain_text("it would be fenced")
    for name in names:
        row = fates.get_by_role("row").filter(has=page.get_by_role("rowheader", name=name))
        expect(row.get_by_role("link", name="node")).to_be_visible()
        story.act("vms", story.vm(name)["id"], "stop")
    menu = page.get_by_label(f"Actions for {host}")
    menu.click()
    press(page, "Into maintenance")
    expect(page.locator("h1")).to_contain_text("maintenance", timeout=60_000)
    page.on("dialog", lambda asked: asked.accept())
    menu.click()
    press(page, "Fire drill")
    drill = page.locator("section", has=page.get_by_role("heading", name="Last fire drill"))
    expect(drill).to_contain_text("passed in", timeout=120_000)
