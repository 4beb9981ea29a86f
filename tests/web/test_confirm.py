"""The red dialog: what it shows, what it refuses, and that it keeps what was typed."""

from django.test import Client

from fencing.models import FenceOperation
from portal.core.models import Role
from tests.api.conftest import Centre, add_person

PART = {"X-Part": "1"}


def address(centre: Centre) -> str:
    """Return the address of node2's dialog."""
    return f"/hosts/{centre.node2.pk}/confirm-rebooted/"


def test_the_dialog_says_what_is_known_and_what_can_go_wrong(
    centre: Centre, operator: Client
) -> None:
    text = operator.get(address(centre), headers=PART).content.decode()
    for words in ("not responding", "BMC", "web1", "destroy their data", "Cancel"):
        assert words in text
    assert text.index("data-close autofocus") < text.index('type="submit"')
    assert "<html" not in text
    assert "override" not in text  # an operator may not


def test_without_script_the_dialog_is_a_page(centre: Centre, operator: Client) -> None:
    text = operator.get(address(centre)).content.decode()
    assert "<html" in text
    assert 'name="host_name"' in text


def test_a_wrong_name_keeps_what_was_typed(centre: Centre, operator: Client) -> None:
    typed = {"host_name": "node1", "reason": "I <b>saw</b> it"}
    answer = operator.post(address(centre), typed, headers=PART)
    text = answer.content.decode()
    assert answer.status_code == 422
    assert "type the host&#x27;s name, node2, exactly" in text
    assert 'value="node1"' in text
    assert "I &lt;b&gt;saw&lt;/b&gt; it" in text
    assert not FenceOperation.objects.exists()


def test_a_missing_reason_is_asked_for(centre: Centre, operator: Client) -> None:
    answer = operator.post(address(centre), {"host_name": "node2", "reason": " "}, headers=PART)
    assert answer.status_code == 422
    assert b"say how you know" in answer.content
    assert b'value="node2"' in answer.content


def test_an_operator_cannot_override(centre: Centre, operator: Client) -> None:
    word = {"host_name": "node2", "reason": "I saw it", "override": "on"}
    answer = operator.post(address(centre), word, headers=PART)
    assert answer.status_code == 422
    assert b"only an administrator" in answer.content
    assert not FenceOperation.objects.exists()


def test_a_good_word_becomes_an_operation_that_is_followed(
    centre: Centre, operator: Client
) -> None:
    word = {"host_name": "node2", "reason": "I saw it"}
    answer = operator.post(address(centre), word, headers=PART)
    op = FenceOperation.objects.get()
    assert answer.status_code == 202
    assert f"/operations/fence-{op.pk}/" in answer.content.decode()
    assert (op.kind, op.requested_by, op.data["override"]) == ("confirm", "otto", False)
    followed = operator.get(f"/operations/fence-{op.pk}/").content.decode()
    assert "asked for" in followed


def test_a_viewer_may_not_confirm(centre: Centre, viewer: Client) -> None:
    assert viewer.get(address(centre)).status_code == 403
    word = {"host_name": "node2", "reason": "I saw it"}
    assert viewer.post(address(centre), word).status_code == 403
    assert not FenceOperation.objects.exists()


def test_a_host_of_another_scope_is_absent(centre: Centre, client: Client) -> None:
    user = add_person("narrow", Role.OPERATOR, "host", centre.node1.pk)
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    assert client.get(address(centre)).status_code == 404
