"""Secrets at rest: ciphertext in the column, keys in a private file, a cure when they are lost."""

import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.conf import settings as real_settings
from django.db import connection

from fencing.models import PowerController
from hosts.models import Cluster, Host
from portal.lib import secrets
from portal.lib.secrets import SecretLost, decrypt, encrypt, ensure_key_file, rotate

T0 = datetime(2026, 1, 1, tzinfo=UTC)
PASSWORD = "correct horse"


@pytest.fixture
def controller(either: str) -> PowerController:
    """A controller with a password."""
    host = Host.objects.create(
        name="node1", uri="qemu+tls://node1/system", status_since=T0, look_due_at=T0,
        cluster=Cluster.objects.create(name="main"),
    )  # fmt: skip
    return PowerController.objects.create(
        host=host, address="bmc1", username="admin", password=PASSWORD
    )


def column(controller: PowerController) -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT password FROM fencing_powercontroller WHERE id = %s", [controller.pk]
        )
        return str(cursor.fetchone()[0])


def test_the_database_holds_ciphertext_and_python_the_password(
    controller: PowerController,
) -> None:
    assert PASSWORD not in column(controller)
    assert column(controller).startswith("gAAAA")
    assert PowerController.objects.get().password == PASSWORD


def test_a_wrong_key_file_is_told_with_a_cure(
    controller: PowerController, tmp_path: Path, settings: Any
) -> None:
    settings.KEY_FILE = ensure_key_file(tmp_path / "vault.keys")
    with pytest.raises(SecretLost, match="restore the key file from your backup") as lost:
        PowerController.objects.get()
    assert PASSWORD not in str(lost.value)
    assert str(tmp_path) not in str(lost.value)
    assert PowerController.objects.defer("password").get().address == "bmc1"


def test_a_rotated_secret_opens_with_the_new_key_alone(tmp_path: Path) -> None:
    keys = ensure_key_file(tmp_path / "vault.keys")
    token = encrypt(PASSWORD, keys)
    old, new = keys.read_text().strip(), Fernet.generate_key().decode()
    keys.write_text(f"{new}\n{old}\n")
    assert decrypt(token, keys) == PASSWORD
    turned = rotate(token, keys)
    keys.write_text(f"{new}\n")
    assert decrypt(turned, keys) == PASSWORD
    with pytest.raises(SecretLost):
        decrypt(token, keys)


def test_the_empty_text_stays_empty(tmp_path: Path) -> None:
    keys = ensure_key_file(tmp_path / "vault.keys")
    assert encrypt("", keys) == decrypt("", keys) == rotate("", keys) == ""


def test_the_key_file_is_for_its_owner_alone_and_never_replaced(tmp_path: Path) -> None:
    keys = ensure_key_file(tmp_path / "new" / "vault.keys")
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    assert stat.S_IMODE(keys.parent.stat().st_mode) == 0o700
    before = keys.read_text()
    assert ensure_key_file(keys).read_text() == before
    assert stat.S_IMODE(Path(real_settings.KEY_FILE).stat().st_mode) == 0o600


def test_processes_that_start_together_agree_on_one_file(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    program = (
        "import sys, pathlib; from portal.lib.secrets import ensure_secret; "
        "print(ensure_secret(pathlib.Path(sys.argv[1])))"
    )
    argv = [sys.executable, "-c", program, str(path)]
    children = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    told = {child.communicate(timeout=60)[0].strip() for child in children}
    assert told == {path.read_text()}
    assert [item.name for item in tmp_path.iterdir()] == ["secret.key"]


def test_an_error_names_the_file_without_its_folder(tmp_path: Path) -> None:
    assert secrets.path_hint(tmp_path / "vault.keys") == "vault.keys"
