"""The simulator over REST: all scenarios, and what became of one as a picture in numbers."""

from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from portal.core.filtering import refuse_unknown
from portal.core.problems import Problem
from portal.core.rest import Door
from portal.sim.picture import HostLane, VmLane
from portal.sim.shelf import NoScenario, Told, scenarios, shown
from portal.sim.steps import Step
from portal.sim.telling import told, why


class ScenarioSerializer(serializers.Serializer[Any]):
    """A scenario: its sentence, and the fault words that it plays."""

    name = serializers.CharField()
    sentence = serializers.CharField(allow_blank=True)
    faults = serializers.ListField(child=serializers.CharField())
    hosts = serializers.ListField(child=serializers.CharField())
    vms = serializers.ListField(child=serializers.CharField())


class ScenariosSerializer(serializers.Serializer[Any]):
    """All scenarios of this installation, by name."""

    results = ScenarioSerializer(many=True)


class ScenarioStepSerializer(serializers.Serializer[Any]):
    """One line of the log."""

    number = serializers.IntegerField()
    at_s = serializers.FloatField()
    kind = serializers.CharField(help_text="An event's kind, or a fault word.")
    mark = serializers.CharField(allow_blank=True, help_text="What it is drawn as.")
    host = serializers.CharField(allow_blank=True)
    vm = serializers.CharField(allow_blank=True)
    text = serializers.CharField()
    reason = serializers.CharField(allow_blank=True)


class StretchSerializer(serializers.Serializer[Any]):
    """A stretch in which something stayed as it was."""

    value = serializers.CharField(allow_blank=True)
    from_s = serializers.FloatField()
    to_s = serializers.FloatField()


class RunStretchSerializer(StretchSerializer):
    """A run on the host ``value``; empty: no run was open."""

    proof = serializers.CharField(allow_blank=True, help_text="Empty while the run is open.")


class TruthStretchSerializer(StretchSerializer):
    """Where a VM executed; empty: nowhere."""

    frozen = serializers.CharField(allow_blank=True, help_text="Where a copy is suspended.")


class HostLaneSerializer(serializers.Serializer[Any]):
    """What the portal held a host to be, from beginning to end."""

    name = serializers.CharField()
    status = StretchSerializer(many=True)
    ha = StretchSerializer(many=True)


class VmLaneSerializer(serializers.Serializer[Any]):
    """The runs of a VM as the portal has them, and where it executed in truth."""

    name = serializers.CharField()
    ha = serializers.BooleanField()
    runs = RunStretchSerializer(many=True)
    executes = TruthStretchSerializer(many=True)


class PictureSerializer(ScenarioSerializer):
    """A scenario that was played."""

    until_s = serializers.FloatField()
    wrong = serializers.ListField(
        child=serializers.CharField(), help_text="Broken rules and what was expected in vain."
    )
    steps = ScenarioStepSerializer(many=True)
    host_lanes = HostLaneSerializer(many=True)
    vm_lanes = VmLaneSerializer(many=True)


@extend_schema(tags=["simulator"])
class ScenariosView(Door):
    """The scenarios that the simulator can play."""

    @extend_schema(responses=ScenariosSerializer, operation_id="simulator_scenarios")
    def get(self, request: Request) -> Response:
        """Return every scenario with its sentence and its faults."""
        refuse_unknown(request, ())
        return Response({"results": [_scenario(item) for item in scenarios()]})


@extend_schema(tags=["simulator"])
class ScenarioView(Door):
    """One scenario, played in memory against this version's own decisions."""

    @extend_schema(responses=PictureSerializer, operation_id="simulator_scenario")
    def get(self, request: Request, name: str) -> Response:
        """Play it, and return its steps and a lane for each host and VM."""
        refuse_unknown(request, ())
        try:
            found = shown(name)
        except NoScenario as error:
            cure = "Take a name from /api/v1/simulator/scenarios/."
            raise Problem(404, "not_found", str(error), cure=cure) from None
        picture = found.picture
        return Response(
            _scenario(found)
            | {
                "until_s": picture.until,
                "wrong": found.wrong,
                "steps": [_step(step) for step in picture.steps],
                "host_lanes": [_host(lane) for lane in picture.hosts],
                "vm_lanes": [_vm(lane) for lane in picture.vms],
            }
        )


def _scenario(item: Told) -> dict[str, Any]:
    return {
        "name": item.name,
        "sentence": item.sentence,
        "faults": item.faults,
        "hosts": [host.name for host in item.scenario.hosts],
        "vms": [vm.name for vm in item.scenario.vms],
    }


def _step(step: Step) -> dict[str, Any]:
    said = {"number": step.number, "at_s": step.at, "kind": step.kind, "mark": step.mark}
    return said | {"host": step.host, "vm": step.vm, "text": told(step), "reason": why(step)}


def _host(lane: HostLane) -> dict[str, Any]:
    return dict(HostLaneSerializer(asdict(lane)).data)


def _vm(lane: VmLane) -> dict[str, Any]:
    return dict(VmLaneSerializer(asdict(lane)).data)
