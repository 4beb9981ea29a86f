"""What an end-to-end test can say: faults, questions, and waiting for answers."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import httpx

from portal.bench.rig import Rig, RigError, until

T = TypeVar("T")


class Story:
    """One test's view of the rig; events are those since it began."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.may_split = False
        self.first_event = 0

    # --- faults ---

    def hit(self, word: str, **fields: Any) -> dict[str, Any]:
        """Inject a fault."""
        return self.rig.control.do(word, **fields)

    def heal(self) -> None:
        """Repair every fault, undo every setting, and wait until all is calm."""
        self.rig.control.do("box.heal", deadline=30)
        for row in self.rig.api.get("hosts/"):
            if row["wanted"] != "active":
                self.act("hosts", row["id"], "activate")
        self._undo_settings()
        for host in self.rig.box.hosts:
            row = self.controller(host.name)
            answer = self.change_bmc(row, port=host.bmc_port, password=host.bmc_password)
            assert answer.status_code == 200, answer.text
            self.act("power-controllers", row["id"], "test")
        for row in self.rig.api.get("vms/"):
            if row["quarantined"]:
                self.act("vms", row["id"], "release-quarantine")
            elif row["state"] == "down":
                self.act("vms", row["id"], "start")
        try:
            until(self._calm, 90, "the box to be calm before the test", every=0.2)
        except RigError as error:
            raise RigError(f"{error}\n{self.rig.describe()}") from None
        self.first_event = max((row["id"] for row in self._events()), default=0)

    def _undo_settings(self) -> None:
        self.set_policy()
        for row in self.rig.api.get("affinity-rules/"):
            self.rig.api.http.delete(f"affinity-rules/{row['id']}/", headers={"If-Match": "*"})

    def _calm(self) -> bool:
        return self.rig.calm() and not self.alerts() and self._bmcs_are_proven()

    def _bmcs_are_proven(self) -> bool:
        """Whether the tests that a change of settings brings about are through."""
        rows = self.rig.api.get("power-controllers/")
        return all(row["identity"] == "proven" for row in rows)

    def change_bmc(self, row: dict[str, Any], **fields: Any) -> httpx.Response:
        """Change a controller as an administrator would, with If-Match."""
        path = f"power-controllers/{row['id']}/"
        tag = self.rig.api.http.get(path).headers["ETag"]
        return self.rig.api.http.patch(path, json=fields, headers={"If-Match": tag})

    def set_policy(self, **overrides: Any) -> None:
        """Change the cluster's policy as an administrator would; none: the defaults again."""
        path = f"clusters/{self.rig.api.get('clusters/')[0]['id']}/"
        before = self.rig.api.http.get(path)
        if before.json()["policy"] == overrides:
            return
        tag = {"If-Match": before.headers["ETag"]}
        answer = self.rig.api.http.patch(path, json={"policy": overrides}, headers=tag)
        assert answer.status_code == 200, answer.text

    def may_start_only_on(self, host: str, vm: str) -> None:
        """Bind a VM to one host by a rule; where it runs now it may go on."""
        rule = {"kind": "hosts", "vms": [vm], "hosts": {str(self.host(host)["id"]): 1}}
        rule |= {"cluster": self.host(host)["cluster"], "name": f"{vm}-on-{host}"}
        answer = self.rig.api.post("affinity-rules/", rule)
        assert answer.status_code == 201, answer.text

    def controller(self, host: str) -> dict[str, Any]:
        """Return the power controller of a host."""
        rows = self.rig.api.get("power-controllers/", host=self.host(host)["id"])
        found: dict[str, Any] = rows[0]
        return found

    def act(self, kind: str, pk: int, verb: str, **body: Any) -> httpx.Response:
        """Do an action; it must be accepted, or done at once."""
        answer = self.rig.api.post(f"{kind}/{pk}/actions/{verb}/", body)
        assert answer.status_code in (200, 202), answer.text
        return answer

    # --- questions ---

    def host(self, name: str) -> dict[str, Any]:
        """Return a host as the API shows it."""
        row: dict[str, Any] = self.rig.api.named("hosts/", name)
        return row

    def vm(self, name: str) -> dict[str, Any]:
        """Return a VM as the API shows it."""
        row: dict[str, Any] = self.rig.api.named("vms/", name)
        return row

    def vms_on(self, host: str) -> set[str]:
        """Return the VMs that run on a host."""
        return {name for name, home in self.rig.up().items() if home == host}

    def host_with_vms(self) -> str:
        """Return the host that runs the most VMs."""
        homes = list(self.rig.up().values())
        return max(sorted(set(homes)), key=homes.count)

    def alerts(self) -> set[str]:
        """Return the kinds of the open alerts."""
        return {row["kind"] for row in self.rig.api.get("alerts/", open="true")}

    def _events(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.rig.api.get("events/", page_size=200)
        return rows

    def events(self, kind: str = "") -> list[dict[str, Any]]:
        """Return this test's events, oldest first, of kinds that begin with ``kind``."""
        mine = [row for row in self._events() if row["id"] > self.first_event]
        return sorted(
            (row for row in mine if row["kind"].startswith(kind)), key=lambda row: row["id"]
        )

    def said(self, text: str, kind: str = "") -> bool:
        """Whether an event of this test contains ``text``."""
        return any(text in row["text"] for row in self.events(kind))

    def fenced(self) -> bool:
        """Whether any power command was given in this test."""
        return self.said("off accepted", "fence.step")

    def runs(self, vm: str) -> list[dict[str, Any]]:
        """Return a VM's runs, newest first."""
        rows: list[dict[str, Any]] = self.rig.api.get("runs/", vm=self.vm(vm)["id"])
        return sorted(rows, key=lambda row: -row["generation"])

    def proof(self, run: dict[str, Any]) -> str:
        """Return the kind of the proof that ended a run."""
        return str(self.rig.api.get(f"proofs/{run['proof']}/")["kind"])

    # --- waiting ---

    def wait(self, condition: Callable[[], T], deadline: float, what: str) -> T:
        """Wait for a condition; while the web server is away the answer is "not yet"."""

        def quietly() -> T | None:
            with suppress(httpx.HTTPError):
                return condition()
            return None

        found = until(quietly, deadline, what, every=0.05)
        assert found is not None
        return found

    def wait_elsewhere(self, vms: set[str], host: str, deadline: float = 60) -> None:
        """Wait until ``vms`` run on other hosts, by the API's and libvirt's word alike."""

        def elsewhere() -> bool:
            homes, truth = self.rig.up(), self.rig.truth()
            return all(
                homes.get(name, host) != host and truth.get(name) == [homes[name]] for name in vms
            )

        self.wait(elsewhere, deadline, f"{sorted(vms)} to run elsewhere than on {host}")
