"""A wrong start: one sentence says what is wrong and what to do; nothing is printed twice."""

import socket
import sys
from pathlib import Path

import pytest

from portal.bench.rig import ROOT, free_port
from tests.core.starting import call, environment, namespace, refusal, run

HOST = (
    "Host.objects.create(name='kvm7', cluster=Cluster.objects.create(name='main'),"
    "status_since=now(), look_due_at=now(), uri="
)

WRONG = [
    ("HOLDFAST_BASE_URL", "foo", "http://"),
    ("HOLDFAST_BASE_URL", "http://", "host"),
    ("HOLDFAST_BASE_URL", "http://:8443", "host"),
    ("HOLDFAST_BASE_URL", "ftp://x", "http://"),
    ("HOLDFAST_BASE_URL", "http://127.0.0.1:99999", "port"),
    ("HOLDFAST_BASE_URL", "http://127.0.0.1:0", "port"),
    ("HOLDFAST_BASE_URL", "http://127.0.0.1:abc", "port"),
    ("HOLDFAST_BASE_URL", "http://127.0.0.1:8443/portal", "path"),
    ("HOLDFAST_BASE_URL", "http://a b:8443", "host"),
    ("HOLDFAST_BASE_URL", "http://[::1:8443", "bracket"),
    ("HOLDFAST_LISTEN", "nonsense", "HOST:PORT"),
    ("HOLDFAST_LISTEN", "127.0.0.1", "HOST:PORT"),
    ("HOLDFAST_LISTEN", "127.0.0.1:", "HOST:PORT"),
    ("HOLDFAST_LISTEN", ":8443", "HOST:PORT"),
    ("HOLDFAST_LISTEN", "::1:8443", "bracket"),
    ("HOLDFAST_LISTEN", "127.0.0.1:99999", "port"),
    ("HOLDFAST_LISTEN", "127.0.0.1:http", "port"),
    ("HOLDFAST_ALLOWED_HOSTS", ",", "host"),
    ("HOLDFAST_ALLOWED_HOSTS", "https://holdfast.example", "without"),
    ("HOLDFAST_ALLOWED_HOSTS", "holdfast.example:443", "without"),
    ("HOLDFAST_DEBUG", "maybe", "yes or no"),
    ("HOLDFAST_SSL_REDIRECT", "2", "yes or no"),
    ("HOLDFAST_LOG_LEVEL", "loud", "WARNING"),
    ("HOLDFAST_ENGINE", "engine one", "letters"),
    ("HOLDFAST_ENGINE", "e" * 61, "60"),
    ("HOLDFAST_REDIS", "nonsense", "redis://"),
    ("HOLDFAST_REDIS", "http://127.0.0.1", "redis://"),
    ("HOLDFAST_REDIS", "redis://127.0.0.1:99999", "port"),
    ("HOLDFAST_REDIS", "redis://", "host"),
    ("HOLDFAST_REDIS", "unix://redis.sock", "unix:///"),
    ("HOLDFAST_SMTP_URL", "mail.example", "smtp://"),
    ("HOLDFAST_SMTP_URL", "smtp://", "host"),
    ("HOLDFAST_SMTP_URL", "smtps://mail.example:0", "port"),
    ("HOLDFAST_SMTP_URL", "smtp://mail.example/box", "end it"),
    ("HOLDFAST_MAIL_FROM", "Holdfast <holdfast@x.example>", "plain address"),
    ("HOLDFAST_SECRET_KEY_FILE", "/nowhere/secret", "cannot be read"),
    ("HOLDFAST_KEY_FILE", "/nowhere/vault.keys", "folder"),
    ("HOLDFAST_KEY_FILE", "/proc", "folder"),
    ("DATABASE_URL", "mongodb://127.0.0.1/holdfast", "postgres://"),
    ("DATABASE_URL", "nonsense", "postgres://"),
    ("DATABASE_URL", "postgres://u:p@127.0.0.1:abc/holdfast", "port"),
    ("DATABASE_URL", "postgres://u:p@127.0.0.1", "name"),
    ("DATABASE_URL", "sqlite://:memory:", "file"),
    ("DATABASE_URL", "sqlite://", "file"),
    ("HOLDFAST_VAR", "/tmp/holdfast %41?", "HOLDFAST_VAR"),
    ("HOLDFAST_VAR", "/tmp/" + "x" * 300, "too long"),
    ("HOLDFAST_VAR", "/dev/null/var", "HOLDFAST_VAR"),
]


@pytest.mark.parametrize(("name", "value", "word"), WRONG)
def test_a_setting_that_cannot_be_used_is_named_with_what_to_write(
    tmp_path: Path, name: str, value: str, word: str
) -> None:
    refusal(call(tmp_path, "up", env={name: value}), name, word)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOLDFAST_BASE_URL", "http://admin:hunter2@127.0.0.1:8443"),
        ("HOLDFAST_REDIS", "http://:hunter2@127.0.0.1:6379"),
        ("HOLDFAST_REDIS", "redis://:hunter2@127.0.0.1:99999"),
        ("HOLDFAST_REDIS", "redis://:hunter2@127.0.0.1:1"),
        ("HOLDFAST_SMTP_URL", "http://holdfast:hunter2@mail.example"),
        ("HOLDFAST_SMTP_URL", "smtp://holdfast:hunter2@mail.example:99999"),
        ("DATABASE_URL", "mysql://holdfast:hunter2@127.0.0.1/holdfast"),
        ("DATABASE_URL", "postgres://holdfast:hunter2@127.0.0.1:nope/holdfast"),
        ("DATABASE_URL", "postgres://holdfast:hunter2@[127.0.0.1/holdfast"),
        ("DATABASE_URL", "postgres://holdfast:hunter2@127.0.0.1:1/holdfast"),
        ("DATABASE_URL", "postgres://holdfast:hunter2@nowhere.invalid/holdfast"),
    ],
)
def test_a_password_in_a_setting_is_never_shown(tmp_path: Path, name: str, value: str) -> None:
    said = call(tmp_path, "up", env={name: value})
    refusal(said, name)
    assert "hunter2" not in said.stdout + said.stderr


@pytest.mark.parametrize(
    "argv",
    [
        ["-m", "uvicorn", "portal.asgi:application", "--port", "0"],
        ["-m", "celery", "-A", "portal.celery", "beat"],
        ["-m", "celery", "-A", "portal.celery", "worker"],
    ],
    ids=["uvicorn", "beat", "worker"],
)
def test_a_process_of_a_systemd_unit_says_the_same_sentence(
    tmp_path: Path, argv: list[str]
) -> None:
    env = environment(tmp_path, HOLDFAST_DEBUG="maybe")
    refusal(run([sys.executable, *argv], env), "HOLDFAST_DEBUG=maybe", "yes or no")


@pytest.mark.parametrize(
    ("line", "word"),
    [("HOLDFAST_DEBUG: true", "line 2"), ("hunter2", "line 2"), (" A=b", "line 2"), ("é", "UTF-8")],
)
def test_a_line_of_the_environment_file_that_is_none_is_named(
    tmp_path: Path, line: str, word: str
) -> None:
    (tmp_path / "var").mkdir()
    file = tmp_path / "var" / "holdfast.env"
    file.write_bytes(b"# the portal\n" + line.encode("latin-1") + b"\n")
    sentence = refusal(call(tmp_path, "check"), "holdfast.env", word)
    assert "hunter2" not in sentence


def test_settings_left_empty_are_settings_not_given(tmp_path: Path) -> None:
    names = {name for name, _, _ in WRONG} - {"HOLDFAST_VAR"}
    empty = dict.fromkeys(names, "")
    shown = "from django.conf import settings as s; print(s.ENGINE_NAME, s.LISTEN, s.ALLOWED_HOSTS)"
    said = call(tmp_path, "shell", "-v", "0", "-c", shown, env=empty)
    assert said.stdout.strip() == (
        "engine1 ('127.0.0.1', 8443) ['127.0.0.1', 'localhost', '[::1]']"
    ), said.stderr


def test_the_host_of_the_address_may_be_asked_for_without_being_named_again(
    tmp_path: Path,
) -> None:
    shown = (
        "from django.conf import settings as s;"
        "print(s.BASE_URL, s.LISTEN, s.ALLOWED_HOSTS[0], s.SECRET_KEY, s.CSRF_TRUSTED_ORIGINS)"
    )
    said = call(
        tmp_path, "shell", "-v", "0", "-c", shown,
        HOLDFAST_BASE_URL="HTTPS://Holdfast.Example:443/", HOLDFAST_SECRET_KEY="$ecret",
    )  # fmt: skip
    assert said.stdout.strip() == (
        "https://holdfast.example ('127.0.0.1', 8443) holdfast.example $ecret "
        "['https://holdfast.example']"
    ), said.stderr


def test_what_the_address_of_the_database_says_about_tls_is_kept(tmp_path: Path) -> None:
    shown = "from django.conf import settings as s; o = s.DATABASES['default']['OPTIONS']; print(o)"
    url = "postgres://u:p@db.example/holdfast?sslmode=verify-full"
    said = call(tmp_path, "shell", "-v", "0", "--no-imports", "-c", shown, DATABASE_URL=url)
    assert "'sslmode': 'verify-full'" in said.stdout, said.stderr


@pytest.mark.parametrize("text", ["", "garbage\n", "\x00\x01", "é"])
def test_a_key_file_that_holds_no_keys_is_refused_with_a_cure(tmp_path: Path, text: str) -> None:
    keys = tmp_path / "vault.keys"
    keys.write_text(text, encoding="utf-8")
    said = call(tmp_path, "up", HOLDFAST_KEY_FILE=str(keys))
    refusal(said, "vault.keys", "restore")
    assert keys.read_text(encoding="utf-8") == text


def test_a_secret_key_file_that_was_emptied_is_refused_with_a_cure(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "secret.key").write_text("")
    refusal(call(tmp_path, "up"), "secret.key", "delete it")


@pytest.mark.parametrize("command", ["up", "demo"])
def test_a_port_that_is_taken_is_named_with_the_setting(tmp_path: Path, command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = call(tmp_path, command, HOLDFAST_BASE_URL=f"http://127.0.0.1:{port}")
    refusal(said, str(port), "HOLDFAST_BASE_URL", "in use")


@pytest.mark.parametrize("host", ["192.0.2.1", "nowhere.invalid", "2001:db8::1"])
@pytest.mark.parametrize("name", ["HOLDFAST_BASE_URL", "HOLDFAST_LISTEN"])
def test_an_address_of_another_machine_is_refused(tmp_path: Path, name: str, host: str) -> None:
    place = f"[{host}]:{free_port()}" if ":" in host else f"{host}:{free_port()}"
    value = f"http://{place}" if name == "HOLDFAST_BASE_URL" else place
    refusal(call(tmp_path, "up", env={name: value}), host, "HOLDFAST_LISTEN", "this machine")


def test_a_redis_that_does_not_answer_is_told_before_anything_starts(tmp_path: Path) -> None:
    place = f"127.0.0.1:{free_port()}"
    said = call(tmp_path, "up", HOLDFAST_REDIS=f"redis://{place}")
    refusal(said, "Redis", place, "HOLDFAST_REDIS")


def test_a_data_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file")
    for command in ("up", "demo", "check"):
        refusal(call(tmp_path, command), "HOLDFAST_VAR")


def test_a_data_folder_with_a_long_path_is_refused(tmp_path: Path) -> None:
    var = tmp_path / ("x" * 120)
    refusal(call(tmp_path, "up", HOLDFAST_VAR=str(var)), "HOLDFAST_VAR", "too long")


def test_a_python_without_the_packages_is_told_which_to_use(tmp_path: Path) -> None:
    argv = [sys.executable, "-S", "-E", str(ROOT / "manage.py"), "up"]
    refusal(run(argv, environment(tmp_path)), ".venv/bin/python", "make run")


def test_the_portal_starts_its_children_from_any_folder(tmp_path: Path) -> None:
    env = environment(tmp_path)
    script = (
        "import sys; from pathlib import Path; from portal.cli.up import Supervisor;"
        "s = Supervisor(Path('x'), 'e', ('127.0.0.1', 1), 1);"
        "import subprocess; sys.exit(subprocess.call([sys.executable, '-c', 'import portal'],"
        "env=s.env))"
    )
    argv = [sys.executable, str(ROOT / "manage.py"), "shell", "-v", "0", "-c", script]
    said = run(argv, env, cwd=tmp_path)
    assert said.returncode == 0, said.stderr


@pytest.mark.parametrize(
    ("command", "program", "package"),
    [
        ("up", "/usr/bin/redis-server", "redis-server"),
        ("demo", "/usr/bin/redis-server", "redis-server"),
        ("demo", "/usr/bin/ipmi_sim", "openipmi"),
        ("demo", "/usr/sbin/libvirtd", "libvirt-daemon"),
    ],
)
def test_a_program_that_is_missing_is_named_with_its_package(
    tmp_path: Path, command: str, program: str, package: str
) -> None:
    hide = 'mount --bind /dev/null "$0" && exec "$@"'
    wrap = (*namespace(), "sh", "-c", hide, program)
    said = call(tmp_path, command, wrap=wrap, PATH="/usr/sbin:/usr/bin:/sbin:/bin")
    refusal(said, program.rpartition("/")[2], f"apt-get install {package}")
    assert not (tmp_path / "var" / "portal.sqlite3").exists()


@pytest.mark.parametrize(
    ("script", "command", "words"),
    [
        ("Cluster.objects.create(name='main')", "demo", "real cluster (main)"),
        (f"{HOST}'qemu+tls://kvm7/system')", "demo", "real host (kvm7)"),
        (f"{HOST}'test+tcp://127.0.0.1:1/default')", "up", "host of the demo (kvm7)"),
    ],
)
def test_the_demo_and_production_leave_each_others_data_alone(
    tmp_path: Path, script: str, command: str, words: str
) -> None:
    assert call(tmp_path, "migrate", "-v", "0").returncode == 0
    begin = "from hosts.models import Cluster, Host; from portal.lib.clock import now;"
    made = call(tmp_path, "shell", "-v", "0", "-c", f"{begin}{script}")
    assert made.returncode == 0, made.stderr
    refusal(call(tmp_path, command), words, "HOLDFAST_VAR", "DATABASE_URL")
