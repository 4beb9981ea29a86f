"""The page of a cluster lists its affinity rules; its administrators add and remove them."""

from django.test import Client

from portal.core.models import Role
from tests.api.conftest import Centre, add_person
from vms.models import AffinityRule


def page(centre: Centre, role: Role) -> str:
    client = Client()
    client.force_login(add_person("ann", role), backend="django.contrib.auth.backends.ModelBackend")
    answer = client.get(f"/clusters/{centre.cluster.pk}/")
    assert answer.status_code == 200
    return answer.content.decode()


def a_rule(centre: Centre) -> AffinityRule:
    rule = AffinityRule.objects.create(cluster=centre.cluster, name="homes", kind="hosts")
    rule.vms.set([centre.db1])
    rule.hosts.create(host=centre.node1, priority=7)
    rule.hosts.create(host=centre.node2, priority=9)
    return rule


def test_an_administrator_sees_the_rules_and_may_add_and_remove_them(centre: Centre) -> None:
    rule = a_rule(centre)
    shown = page(centre, Role.ADMIN)
    assert "on the hosts node2 (9), node1 (7)" in shown
    assert f'data-action="/api/v1/affinity-rules/{rule.pk}/"' in shown
    assert 'action="/api/v1/affinity-rules/"' in shown
    assert f'name="hosts.{centre.node1.pk}"' in shown


def test_a_viewer_only_reads_them(centre: Centre) -> None:
    a_rule(centre)
    shown = page(centre, Role.VIEWER)
    assert "homes" in shown
    assert "/api/v1/affinity-rules/" not in shown


def test_without_rules_the_page_says_so(centre: Centre) -> None:
    assert "No rules: every VM may run on any host" in page(centre, Role.VIEWER)
