"""The helpers of the tests themselves: a test that uses them relies on these facts."""

import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.db import connection, connections, transaction

from portal.celery import POLL_QUEUE, app
from tests.waiting import wait_for


def test_waiting_returns_the_first_true_value() -> None:
    values = iter([0, None, "here"])
    assert wait_for(lambda: next(values), 5, every=0) == "here"


def test_waiting_in_vain_says_for_what_and_what_was_seen() -> None:
    with pytest.raises(AssertionError, match=r"waited 0\.01 s for a host; last value: \[\]"):
        wait_for(list, 0.01, "a host", every=0.001)


def test_the_tests_write_to_no_folder_of_the_project() -> None:
    assert not Path(settings.VAR).is_relative_to(settings.BASE_DIR)


@pytest.mark.django_db
def test_the_test_database_is_a_file_in_the_folder_of_the_tests() -> None:
    assert Path(connection.settings_dict["NAME"]).is_relative_to(settings.VAR)


def test_a_second_connection_reaches_a_migrated_postgres(on_postgres: str) -> None:
    assert connections[on_postgres].vendor == "postgresql"
    assert ContentType.objects.using(on_postgres).exists()


def test_both_databases_serve_one_test(db: None, on_postgres: str) -> None:
    assert connection.vendor == "sqlite"
    assert ContentType.objects.exists()
    assert ContentType.objects.using(on_postgres).exists()


@pytest.mark.parametrize("time", ["first", "second"])
def test_what_a_test_commits_to_postgres_is_gone_for_the_next(on_postgres: str, time: str) -> None:
    rows = ContentType.objects.using(on_postgres)
    assert not rows.filter(app_label="left behind").exists()
    with transaction.atomic(using=on_postgres):
        rows.create(app_label="left behind", model=time)


def test_postgres_can_stand_in_for_the_default_database(postgres_default: str) -> None:
    assert connection.vendor == "postgresql"
    assert ContentType.objects.exists()


@pytest.mark.django_db
def test_the_default_database_comes_back_afterwards() -> None:
    assert connection.vendor == "sqlite"


def test_postgres_listens_on_no_port(postgres: dict[str, Any]) -> None:
    assert Path(postgres["HOST"]).is_dir()
    settings_of_server = {"dbname": postgres["NAME"], "user": postgres["USER"]}
    with psycopg.connect(host=postgres["HOST"], **settings_of_server) as server:
        row = server.execute("SHOW listen_addresses").fetchone()
    assert row == ("",)


def test_the_example_environment_names_only_settings_that_exist() -> None:
    example = (settings.BASE_DIR / "deploy" / "holdfast.env.example").read_text()
    names = re.findall(r"^(?:# )?([A-Z_0-9]+?)(?:_FILE)?=", example, re.MULTILINE)
    files = ("settings.py", "settings_sign_in.py")
    read = "".join((settings.BASE_DIR / "portal" / name).read_text() for name in files)
    assert names
    assert [name for name in names if f'"{name}' not in read] == []


def test_every_queue_has_a_unit_that_serves_it() -> None:
    target = (settings.BASE_DIR / "deploy" / "holdfast.target").read_text()
    served = set(re.findall(r"holdfast-worker@(\w+)\.service", target))
    routed = {route["queue"] for route in app.conf.task_routes.values()}
    assert routed - {POLL_QUEUE} <= served
    assert app.conf.task_default_queue in served
