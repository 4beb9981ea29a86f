"""Who may open which page and part, as one table written by hand: see ``tests/api/matrix.py``.

One more column before the answer: ``public`` in place of a role needs no sign-in,
``signed-in`` needs no role; after a comma, the answer to whoever is signed in already.
Over what, besides: c another cluster.  A page without a row
fails the build; so does a row whose page is gone.  Whoever is not signed in is sent to the
sign-in page.  What the open pages name is in ``test_names.py``.
"""

TABLE = """
GET    /                                      viewer     any   200
GET    /parts/hosts/                          viewer     any   200
GET    /search/                               viewer     any   200

GET    /clusters/                             viewer     any   200
GET    /clusters/add/                         admin      E     200
GET    /clusters/{cluster}/                   viewer     EC    200

GET    /hosts/                                viewer     any   200
GET    /hosts/add/                            admin      ECc   200
GET    /hosts/{node1}/                        viewer     ECH   200
GET    /hosts/{node1}/what-if/                viewer     ECH   200
GET    /hosts/{node1}/policy/                 viewer     ECH   200
GET    /hosts/{node1}/removal/                admin      ECH   200
GET    /hosts/{node1}/power-controllers/add/  admin      ECH   200
GET    /hosts/{node1}/confirm-rebooted/       operator   ECH   200
POST   /hosts/{node1}/confirm-rebooted/       operator   ECH   422

GET    /vms/                                  viewer     any   200
GET    /vms/bulk/                             admin      any   200
POST   /vms/bulk/                             admin      any   200
GET    /vms/{db1}/                            viewer     ECHV  200
GET    /vms/{db1}/removal/                    admin      ECHV  200

GET    /power-controllers/                    viewer     any   200
GET    /power-controllers/{controller}/       viewer     ECH   200

GET    /operations/                           viewer     any   200
GET    /operations/{vm_op}/                   viewer     ECHV  200
GET    /operations/{host_op}/                 viewer     ECH   200
GET    /operations/{fence_op}/                viewer     ECH   200
GET    /events/                               viewer     any   200
GET    /events/{event}/                       viewer     ECHV  200
GET    /incidents/                            viewer     any   200
GET    /incidents/{incident}/                 viewer     ECH   200
GET    /incidents/{incident}/part/            viewer     ECH   200

GET    /simulator/                            viewer     any   200
GET    /simulator/power_cut_with_heartbeat/   viewer     any   200

GET    /policy/                               viewer     any   200
GET    /tokens/                               viewer     any   200
GET    /users/                                admin      E     200
GET    /users/add/                            admin      E     200
GET    /users/{ann}/                          admin      E     200
GET    /notifications/                        admin      E     200
GET    /notifications/add/                    admin      E     200
GET    /notifications/{target}/               admin      E     200
GET    /self-check/                           admin      E     200

GET    /account/                              signed-in  any   200
GET    /account/sessions/end/                 signed-in  any   405
POST   /account/sessions/end/                 signed-in  any   404
GET    /account/confirm/                      signed-in  any   200
GET    /account/confirm/code/                 signed-in  any   302
GET    /account/two-factor/                   signed-in  any   302
GET    /account/two-factor/on/                signed-in  any   302
GET    /account/two-factor/off/               signed-in  any   404
GET    /account/two-factor/codes/             signed-in  any   404
GET    /account/two-factor/codes/new/         signed-in  any   302
GET    /account/single-sign-on/               signed-in  any   404
GET    /password/                             signed-in  any   200
POST   /password/                             signed-in  any   200

GET    /sign-in/                              public     any   200,302
POST   /sign-in/                              public     any   200,302
GET    /sign-in/code/                         public     any   302
GET    /sign-in/disabled/                     public     any   200
GET    /sign-in/oidc/                         public     any   404
GET    /sign-in/oidc/callback/                public     any   404
GET    /sign-in/oidc/cancelled/               public     any   404
GET    /sign-out/                             public     any   302,200
POST   /sign-out/                             public     any   302

GET    /livez                                 public     any   200
GET    /readyz                                public     any   503
GET    /metrics                               public     any   200
GET    /api/schema/                           public     any   200
GET    /api/docs/                             public     any   200
"""
