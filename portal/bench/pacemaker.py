"""The same cluster planned by Pacemaker's scheduler, where ``crm_simulate`` is installed.

Every VM is a primitive with a need of memory, every host a node with memory, and the
status section says where each runs; one node is down.  What is measured is the time that
the scheduler itself reports: starting the program and reading the file do not count.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fencing.domain.facts import ClusterFacts
from hosts.domain.states import HostStatus
from vms.domain.restart import VmFacts

#: Seconds after which the peer is given up.
PATIENCE_S = 120.0
_SPENT = re.compile(r"([0-9]+(?:\.[0-9]+)?) secs")
_OPTIONS = {
    "stonith-enabled": "false",
    "no-quorum-policy": "ignore",
    "placement-strategy": "balanced",
    "enable-startup-probes": "false",  # or it would look for every VM on every node first
}


def peer_ms(facts: ClusterFacts, patience_s: float = PATIENCE_S) -> float | None:
    """Return how long Pacemaker's scheduler takes; None where it is not there or takes longer."""
    program = shutil.which("crm_simulate", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if program is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "cluster.xml").write_text("".join(_cib(facts)), encoding="utf-8")
        command = [program, "--profile", folder]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=patience_s, check=False
            )
        except subprocess.TimeoutExpired:
            return None
    told = _SPENT.search(done.stdout)
    return round(float(told.group(1)) * 1000, 1) if told and not done.returncode else None


def _cib(facts: ClusterFacts) -> Iterator[str]:
    yield '<cib validate-with="pacemaker-3.0" admin_epoch="1" epoch="1" num_updates="0" '
    yield 'have-quorum="1" dc-uuid="2"><configuration><crm_config><cluster_property_set id="o">'
    for name, value in _OPTIONS.items():
        yield f'<nvpair id="o-{name}" name="{name}" value="{value}"/>'
    yield "</cluster_property_set></crm_config><nodes>"
    for host in facts.hosts:
        yield f'<node id="{host.pk}" uname="{host.name}"><utilization id="u{host.pk}">'
        yield f'<nvpair id="um{host.pk}" name="memory" value="{host.memory_mib}"/>'
        yield "</utilization></node>"
    yield "</nodes><resources>"
    for vm in facts.vms:
        yield f'<primitive id="{vm.name}" class="ocf" provider="pacemaker" type="Dummy">'
        yield f'<utilization id="v{vm.pk}"><nvpair id="vm{vm.pk}" name="memory" '
        yield f'value="{vm.memory_mib}"/></utilization></primitive>'
    yield '</resources><constraints/><rsc_defaults><meta_attributes id="d">'
    yield '<nvpair id="ds" name="resource-stickiness" value="1000"/></meta_attributes>'
    yield "</rsc_defaults></configuration><status>"
    yield from _status(facts)
    yield "</status></cib>"


def _status(facts: ClusterFacts) -> Iterator[str]:
    running: dict[int, list[VmFacts]] = {}
    for vm in facts.vms:
        if vm.run is not None:
            running.setdefault(vm.run.host, []).append(vm)
    for host in facts.hosts:
        up = host.status is HostStatus.UP
        online, joined = ("online", "member") if up else ("offline", "down")
        yield f'<node_state id="{host.pk}" uname="{host.name}" in_ccm="{str(up).lower()}" '
        yield f'crmd="{online}" join="{joined}" expected="member">'
        yield f'<lrm id="{host.pk}"><lrm_resources>'
        for vm in running.get(host.pk, ()):
            yield from _ran(vm)
        yield "</lrm_resources></lrm></node_state>"


def _ran(vm: VmFacts) -> Iterator[str]:
    key = f"{vm.pk}:1:0:00000000-0000-4000-8000-000000000000"
    yield f'<lrm_resource id="{vm.name}" class="ocf" provider="pacemaker" type="Dummy">'
    yield f'<lrm_rsc_op id="{vm.name}_last_0" operation_key="{vm.name}_start_0" operation="start" '
    yield f'transition-key="{key}" transition-magic="0:0;{key}" call-id="1" rc-code="0" '
    yield 'op-status="0" interval="0" crm_feature_set="3.0.14"/></lrm_resource>'
