"""A database that cannot be used: one sentence, whatever the command."""

import os
import pty
import select
import signal
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest

from portal.bench.postgres import Server
from portal.bench.rig import ROOT, free_port
from tests.core.starting import PYTHON, Said, call, environment, namespace, refusal

COMMANDS = [
    ("up",),
    ("demo",),
    ("migrate",),
    ("confirm-rebooted", "node1"),
    ("reset-access", "admin"),
]
commands = pytest.mark.parametrize("args", COMMANDS, ids=[args[0] for args in COMMANDS])


@commands
def test_a_database_server_that_does_not_answer(tmp_path: Path, args: tuple[str, ...]) -> None:
    port = free_port()
    url = f"postgres://holdfast:hunter2@127.0.0.1:{port}/holdfast"
    said = call(tmp_path, *args, DATABASE_URL=url)
    refusal(said, "database", str(port), "refused", "DATABASE_URL")
    assert "hunter2" not in said.stdout + said.stderr


def test_a_database_that_does_not_exist(tmp_path: Path, postgres_server: Server) -> None:
    url = postgres_server.url("nowhere")
    refusal(call(tmp_path, "up", DATABASE_URL=url), '"nowhere" does not exist', "DATABASE_URL")


def test_a_wrong_password_of_the_database(tmp_path: Path, postgres_server: Server) -> None:
    rules = postgres_server.folder / "data" / "pg_hba.conf"
    kept = rules.read_text()
    try:
        rules.write_text("local all stranger scram-sha-256\n" + kept)
        postgres_server.run("CREATE ROLE stranger LOGIN PASSWORD 'right'")
        postgres_server.run("SELECT pg_reload_conf()")
        url = f"postgres://stranger:hunter2@/{postgres_server.folder}/postgres"
        said = call(tmp_path, "up", DATABASE_URL=url)
    finally:
        rules.write_text(kept)
        postgres_server.run("SELECT pg_reload_conf()")
        postgres_server.run("DROP ROLE IF EXISTS stranger")
    refusal(said, "password authentication failed", "DATABASE_URL")
    assert "hunter2" not in said.stdout + said.stderr


def test_a_role_that_may_not_make_tables(tmp_path: Path, postgres_server: Server) -> None:
    postgres_server.run("CREATE ROLE guest LOGIN")
    postgres_server.run("CREATE DATABASE owned")
    try:
        url = f"postgres://guest@/{postgres_server.folder}/owned"
        refusal(call(tmp_path, "up", DATABASE_URL=url), "permission denied", "DATABASE_URL")
    finally:
        postgres_server.run("DROP DATABASE owned")
        postgres_server.run("DROP ROLE guest")


@commands
@pytest.mark.parametrize("kind", ["garbage", "a folder", "no folder", "broken pages"])
def test_a_database_file_that_is_none(tmp_path: Path, kind: str, args: tuple[str, ...]) -> None:
    file = tmp_path / "portal.sqlite3"
    if kind == "garbage":
        file.write_bytes(b"this is no database, however long one reads it. " * 100)
    elif kind == "a folder":
        file.mkdir()
    elif kind == "broken pages":
        with sqlite3.connect(file) as database:
            database.execute("CREATE TABLE a (b)")
        with file.open("r+b") as raw:
            raw.seek(100)
            raw.write(b"\xff" * 3996)
    else:
        file = tmp_path / "nowhere" / "portal.sqlite3"
    said = call(tmp_path, *args, DATABASE_URL=f"sqlite:///{file}")
    refusal(said, "portal.sqlite3", "DATABASE_URL")


@pytest.fixture
def read_only(tmp_path: Path) -> tuple[str, ...]:
    """A wrapper that runs a command with the data folder, which has tables, mounted read-only."""
    assert call(tmp_path, "migrate", "-v", "0").returncode == 0
    script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    return (*namespace(), "sh", "-c", script, str(tmp_path / "var"))


@commands
def test_a_data_folder_that_is_read_only(
    tmp_path: Path, read_only: tuple[str, ...], args: tuple[str, ...]
) -> None:
    refusal(call(tmp_path, *args, wrap=read_only), "HOLDFAST_VAR")


@pytest.mark.parametrize(
    "args", [("confirm-rebooted", "node1"), ("reset-access", "admin"), ("verify-events",)]
)
def test_a_command_about_a_portal_that_is_not_there_makes_nothing(
    tmp_path: Path, args: tuple[str, ...]
) -> None:
    refusal(call(tmp_path, *args), "HOLDFAST_VAR", "no database", "HOLDFAST_VAR=demo")
    assert list(tmp_path.iterdir()) == []


def test_a_command_on_a_database_without_tables(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "portal.sqlite3").touch()
    said = call(tmp_path, "reset-access", "admin")
    refusal(said, "HOLDFAST_VAR", "no tables", "HOLDFAST_VAR=demo")


def _script(tmp_path: Path, text: str) -> Said:
    said = call(tmp_path, "shell", "-v", "0", "-c", text)
    assert said.returncode == 0, said.stderr
    return said


@pytest.fixture
def node1(tmp_path: Path) -> Path:
    """A data folder whose database knows one host."""
    assert call(tmp_path, "migrate", "-v", "0").returncode == 0
    _script(
        tmp_path,
        "from hosts.models import Cluster, Host; from portal.lib import clock;"
        "from portal.cli.prepare import administrator; administrator();"
        "c = Cluster.objects.create(name='main');"
        "Host.objects.create(name='node1', cluster=c, uri='qemu+tls://node1/system',"
        "status='non_responsive', status_since=clock.now(), look_due_at=clock.now())",
    )
    return tmp_path


def _rows(tmp_path: Path) -> dict[str, Any]:
    with sqlite3.connect(tmp_path / "var" / "portal.sqlite3") as database:
        names = database.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall()
        return {
            name: database.execute(f"SELECT * FROM {name}").fetchall()  # noqa: S608 - a name from the database itself
            for (name,) in names
        }


@pytest.mark.parametrize("given", [(), ("--typed", "node1"), ("--reason", "I looked")])
def test_a_confirmation_with_nobody_at_the_keyboard(node1: Path, given: tuple[str, ...]) -> None:
    before = _rows(node1)
    said = call(node1, "confirm-rebooted", "node1", *given)
    refusal(said, "--typed", "--reason")
    assert _rows(node1) == before


def test_a_confirmation_without_standard_input(node1: Path) -> None:
    wrap = ("sh", "-c", 'exec "$@" <&-', "sh")
    refusal(call(node1, "confirm-rebooted", "node1", wrap=wrap), "--typed", "--reason")


def test_ctrl_c_at_the_question_confirms_nothing(node1: Path) -> None:
    before = _rows(node1)
    keyboard, terminal = pty.openpty()
    # A test that runs in the background of a shell would hand down a SIGINT that is ignored.
    argv = ["env", "--default-signal=INT", PYTHON, str(ROOT / "manage.py")]
    process = subprocess.Popen(
        [*argv, "confirm-rebooted", "node1"],
        env=environment(node1), cwd=ROOT, stdin=terminal, stdout=terminal, stderr=terminal,
    )  # fmt: skip
    os.close(terminal)
    try:
        shown = _until(keyboard, "to confirm that it is off")
        while not select.select([keyboard], [], [], 3)[0]:
            # Once more: one that comes between the prompt and the wait for a key is heard late.
            process.send_signal(signal.SIGINT)
        shown += _until(keyboard, "confirmed.")
        assert process.wait(20) == 130, shown
    finally:
        process.kill()
        os.close(keyboard)
    assert shown.splitlines()[-1] == "Stopped: nothing was confirmed."
    assert "Traceback" not in shown
    assert _rows(node1) == before


def _until(keyboard: int, words: str) -> str:
    """Return what a terminal shows, up to ``words``."""
    shown = ""
    while words not in shown:
        assert select.select([keyboard], [], [], 30)[0], shown
        shown += os.read(keyboard, 1000).decode()
    return shown


WORD = ("--typed", "node1", "--reason", "I looked")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["confirm-rebooted", "node9"], "known are node1"),
        (["confirm-rebooted", "node1", "--typed", "node2", "--reason", "I looked"], "host_name"),
        (["reset-access", "nobody"], "known are admin"),
        (["confirm-rebooted", "node1", *WORD, "--user", "x"], "--user"),
    ],
)
def test_a_name_that_is_not_there_is_answered_with_those_that_are(
    node1: Path, args: list[str], words: str
) -> None:
    before = _rows(node1)
    said = call(node1, *args)
    assert said.returncode == 1
    assert len(said.stderr.strip().splitlines()) == 1
    assert words in said.stderr
    assert _rows(node1) == before


def test_a_key_file_that_was_damaged_does_not_silence_a_person(node1: Path) -> None:
    _script(
        node1,
        "from hosts.models import Host; from fencing.models import PowerController;"
        "PowerController.objects.create(host=Host.objects.get(), driver='ipmi', address='bmc1',"
        "username='admin', password='hunter2')",
    )
    (node1 / "var" / "vault.keys").write_text("garbage")
    said = call(node1, "confirm-rebooted", "node1", *WORD)
    assert "Traceback" not in said.stderr, said.stderr
    assert "operation" in said.stdout, said.stdout
