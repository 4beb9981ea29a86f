"""Observing until a time, over REST."""

from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from hosts.models import Cluster
from hosts.services.inventory import arm_again
from portal.core.models import Event
from portal.lib import clock
from tests.api.conftest import API, Centre


def _observe(admin: APIClient, centre: Centre, **body: Any) -> Any:
    path = f"{API}/clusters/{centre.cluster.pk}/actions/observe/"
    return admin.post(path, body, format="json")


def test_it_observes_until_the_time_given_and_is_then_armed_with_an_event(
    admin: APIClient, centre: Centre
) -> None:
    until = clock.now() + timedelta(hours=1)
    answer = _observe(admin, centre, until=until.isoformat())
    assert answer.status_code == 200
    assert answer.json()["mode"] == "observe"
    assert answer.json()["observe_until"]
    assert not arm_again(centre.cluster.pk, until - timedelta(seconds=1))
    assert arm_again(centre.cluster.pk, until)
    assert not arm_again(centre.cluster.pk, until), "once"
    row = Cluster.objects.get(pk=centre.cluster.pk)
    assert (row.mode, row.observe_until) == ("armed", None)
    told = Event.objects.filter(kind="cluster.armed").latest("pk")
    assert "time to observe is over" in told.text
    assert told.actor == "portal"


def test_a_later_wish_without_an_end_takes_the_end_away(admin: APIClient, centre: Centre) -> None:
    until = clock.now() + timedelta(hours=1)
    _observe(admin, centre, until=until.isoformat())
    assert _observe(admin, centre).json()["observe_until"] is None
    assert not arm_again(centre.cluster.pk, until)


@pytest.mark.parametrize("ahead", [timedelta(seconds=-1), timedelta(days=31)])
def test_an_end_that_is_over_or_far_away_is_refused_with_a_cure(
    admin: APIClient, centre: Centre, ahead: timedelta
) -> None:
    answer = _observe(admin, centre, until=(clock.now() + ahead).isoformat())
    assert answer.status_code == 400
    assert "within 30 days" in answer.content.decode()
