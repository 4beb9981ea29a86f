"""Who may do what over the API, as one table written by hand.

Columns: method, address, the least role, over what, and the answer to whoever may.
Over what: E everything, C the cluster, H the host, V the VM that the object belongs to, c
another cluster: a role there opens it, a role elsewhere does not.  ``any``: over anything at all.
Names in braces are objects of ``tests/api/full.py``.  An endpoint without a row fails the build.
"""

from typing import Any

LEASE_WORDS = ("add", "remove", "move")

TABLE = """
GET    clusters/                                   viewer    EC    200
POST   clusters/                                   admin     E     201
GET    clusters/{cluster}/                         viewer    EC    200
PATCH  clusters/{cluster}/                         admin     EC    200
DELETE clusters/{cluster}/                         admin     EC    409
POST   clusters/{cluster}/actions/arm/             admin     EC    200
POST   clusters/{cluster}/actions/observe/         admin     EC    200
POST   clusters/{cluster}/actions/enable-ha/       admin     EC    200
POST   clusters/{cluster}/actions/disable-ha/      admin     EC    200
POST   clusters/{cluster}/actions/accept-database/ admin     EC    409
POST   clusters/{cluster}/actions/configure-ha/    admin     EC    200

GET    hosts/                                      viewer    ECH   200
POST   hosts/                                      admin     EC    201
GET    hosts/{node1}/                              viewer    ECH   200
PATCH  hosts/{node1}/                              admin     ECH   200
DELETE hosts/{node1}/                              admin     ECH   409
POST   hosts/{node1}/actions/activate/             operator  ECH   202
POST   hosts/{node1}/actions/maintenance/          operator  ECH   202
POST   hosts/{node1}/actions/probe/                operator  ECH   202
POST   hosts/{node1}/actions/enable-ha/            admin     ECH   202
POST   hosts/{node1}/actions/disable-ha/           admin     ECH   202
POST   hosts/{node1}/actions/fence/                operator  ECH   202
POST   hosts/{node1}/actions/shutdown/             operator  ECH   409
POST   hosts/{node1}/actions/reboot/               operator  ECH   409
POST   hosts/{node1}/actions/confirm-rebooted/     operator  ECH   422
POST   hosts/{node1}/actions/fire-drill/           admin     ECH   409
POST   hosts/{node1}/actions/adopt/                admin     EC    400
GET    hosts/{node1}/what-if/                      viewer    ECH   200
GET    hosts/{node1}/removal/                      admin     ECH   200

POST   trials/host/                                admin     ECc   200
POST   trials/power/                               admin     ECH   200
GET    preflight/                                  admin     ECc   400

GET    power-controllers/                          viewer    ECH   200
POST   power-controllers/                          admin     ECH   201
GET    power-controllers/{controller}/             viewer    ECH   200
PATCH  power-controllers/{controller}/             admin     ECH   200
DELETE power-controllers/{controller}/             admin     ECH   204
POST   power-controllers/{controller}/actions/test/ operator ECH   202

GET    vms/                                        viewer    ECHV  200
POST   vms/                                        admin     EC    201
GET    vms/{db1}/                                  viewer    ECHV  200
PATCH  vms/{db1}/                                  admin     ECHV  200
DELETE vms/{db1}/                                  admin     ECHV  409
GET    vms/{db1}/removal/                          admin     ECHV  200
POST   vms/{db1}/actions/start/                    operator  ECHV  409
POST   vms/{db1}/actions/shutdown/                 operator  ECHV  202
POST   vms/{db1}/actions/stop/                     operator  ECHV  202
POST   vms/{db1}/actions/migrate/                  operator  ECHV  409
POST   vms/{db1}/actions/suspend/                  operator  ECHV  202
POST   vms/{db1}/actions/resume/                   operator  ECHV  202
POST   vms/{db1}/actions/lock/                     operator  ECHV  200
POST   vms/{db1}/actions/unlock/                   operator  ECHV  409
POST   vms/{db1}/actions/lease-add/                admin     ECHV  422
POST   vms/{db1}/actions/lease-remove/             admin     ECHV  422
POST   vms/{db1}/actions/lease-move/               admin     ECHV  422
POST   vms/{db1}/actions/release-quarantine/       admin     ECHV  409

GET    affinity-rules/                             viewer    EC    200
POST   affinity-rules/                             admin     EC    201
GET    affinity-rules/{rule}/                      viewer    EC    200
PATCH  affinity-rules/{rule}/                      admin     EC    200
DELETE affinity-rules/{rule}/                      admin     EC    204
GET    ha-resources/                               viewer    ECHV  200
POST   ha-resources/                               admin     EC    201
GET    ha-resources/{resource}/                    viewer    ECHV  200
DELETE ha-resources/{resource}/                    admin     ECHV  204
GET    ha-resources/{resource}/transitions/        viewer    ECHV  200
POST   ha-resources/{resource}/actions/enable/     admin     ECHV  200
POST   ha-resources/{resource}/actions/disable/    admin     ECHV  200
POST   ha-resources/{resource}/actions/configure/  admin     ECHV  200
POST   ha-resources/{resource}/actions/declare-degraded/ operator ECHV 200
POST   ha-resources/{resource}/actions/cancel-degraded/  operator ECHV 409
GET    ha-providers/                               viewer    any   200

GET    runs/                                       viewer    ECHV  200
GET    runs/{run}/                                 viewer    ECHV  200
GET    proofs/                                     viewer    ECHV  200
GET    proofs/{proof}/                             viewer    ECHV  200

GET    incidents/                                  viewer    ECH   200
GET    incidents/{incident}/                       viewer    ECH   200
POST   incidents/{incident}/actions/acknowledge/   operator  ECH   200
GET    alerts/                                     viewer    ECHV  200
GET    alerts/{alert}/                             viewer    ECHV  200
GET    events/                                     viewer    ECHV  200
GET    events/{event}/                             viewer    ECHV  200
GET    events/export/                              viewer    any   200

GET    operations/                                 viewer    ECHV  200
GET    operations/{vm_op}/                         viewer    ECHV  200
GET    operations/{fence_op}/                      viewer    ECH   200
GET    operations/{host_op}/                       viewer    ECH   200
POST   operations/{vm_op}/actions/retry/           operator  ECHV  202
POST   operations/{fence_op}/actions/retry/        operator  ECH   202
POST   operations/{vm_op}/actions/cancel/          operator  ECHV  409
POST   operations/{host_op}/actions/cancel/        operator  ECH   409

GET    engines/                                    viewer    any   200
GET    engines/{engine}/                           viewer    any   200
GET    policy/                                     viewer    any   200
GET    settings/ha/                                viewer    any   200
POST   settings/ha/actions/enable-ha/              admin     E     200
POST   settings/ha/actions/disable-ha/             admin     E     200
POST   settings/ha/actions/configure/              admin     E     200
GET    settings/policy/                            viewer    any   200
PATCH  settings/policy/                            admin     E     200

GET    notification-targets/                       admin     E     200
POST   notification-targets/                       admin     E     201
GET    notification-targets/{target}/              admin     E     200
PATCH  notification-targets/{target}/              admin     E     200
DELETE notification-targets/{target}/              admin     E     204
POST   notification-targets/{target}/actions/test/ admin     E     202
GET    deliveries/                                 admin     E     200
GET    deliveries/{delivery}/                      admin     E     200
POST   deliveries/{delivery}/actions/retry/        admin     E     202

GET    simulator/scenarios/                        viewer    any   200
GET    simulator/scenarios/isolated_then_dies/     viewer    any   200

GET    self-check/                                 admin     E     200

GET    users/                                      admin     E     200
POST   users/                                      admin     E     201
GET    users/{ann}/                                admin     E     200
PATCH  users/{ann}/                                admin     E     200
POST   users/{ann}/actions/reset-password/         admin     E     200
GET    role-bindings/                              admin     E     200
POST   role-bindings/                              admin     E     201
GET    role-bindings/{binding}/                    admin     E     200
DELETE role-bindings/{binding}/                    admin     E     204

GET    tokens/                                     viewer    any   200
POST   tokens/                                     viewer    any   201
DELETE tokens/{token}/                             admin     E     204
"""

#: Method and address -> the body that whoever may sends; others send the same.
BODIES: dict[str, dict[str, Any]] = {
    "POST clusters/": {"name": "new"},
    "PATCH clusters/{cluster}/": {"policy": {"grace": 20}},
    "POST clusters/{cluster}/actions/configure-ha/": {"thresholds": {"health_interval": 2}},
    "POST ha-resources/": {"kind": "vm", "vm": "{web1}", "provider": "vm-guest"},
    "POST ha-resources/{resource}/actions/configure/": {"options": {"tcp": "192.0.2.5:22"}},
    "POST ha-resources/{resource}/actions/declare-degraded/": {"reason": "its disk is full"},
    "POST settings/ha/actions/configure/": {"thresholds": {"health_interval": 2}},
    "POST hosts/": {"name": "new1", "uri": "qemu+tls://new1/system", "cluster": "{cluster}"},
    "PATCH hosts/{node1}/": {"policy": {"grace": 20}},
    "POST hosts/{node1}/actions/fence/": {"action": "status"},
    "POST hosts/{node1}/actions/confirm-rebooted/": {"host_name": "node1", "reason": "seen"},
    "POST hosts/{node1}/actions/adopt/": {"vms": ["00000000-0000-4000-8000-00000000abcd"]},
    "POST trials/host/": {"uri": "qemu+tls://new1/system"},
    "POST trials/power/": {
        "host": "{node1}",
        "address": "192.0.2.9",
        "username": "admin",
        "password": "secret",
    },
    "POST power-controllers/": {
        "host": "{node1}",
        "address": "192.0.2.9",
        "username": "admin",
        "password": "secret",
    },
    "PATCH power-controllers/{controller}/": {"level": 2},
    "POST vms/": {"name": "new1", "cluster": "{cluster}", "memory_mib": 1024, "vcpus": 1},
    "PATCH vms/{db1}/": {"priority": 60},
    "POST vms/{db1}/actions/lock/": {"reason": "a backup"},
    **{f"POST vms/{{db1}}/actions/lease-{word}/": {"domain": "ceph1"} for word in LEASE_WORDS},
    "POST affinity-rules/": {
        "cluster": "{cluster}",
        "name": "apart",
        "kind": "separate",
        "vms": ["db1", "web1"],
    },
    "PATCH affinity-rules/{rule}/": {"hard": False},
    "POST incidents/{incident}/actions/acknowledge/": {"text": "seen"},
    "PATCH settings/policy/": {"policy": {"grace": 20}},
    "POST notification-targets/": {
        "name": "hook",
        "kind": "webhook",
        "address": "http://192.0.2.8/hook",
        "secret": "sixteen characters",
    },
    "PATCH notification-targets/{target}/": {"enabled": False},
    "POST users/": {"username": "bob"},
    "PATCH users/{ann}/": {"is_active": False},
    "POST role-bindings/": {"user": "{ann}", "role": "viewer"},
    "POST tokens/": {"name": "mine"},
}
