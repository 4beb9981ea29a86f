"""Who may open which page and part, as one table written by hand: see ``tests/api/matrix.py``.

One more column before the answer: ``public`` in place of a role needs no sign-in,
``signed-in`` needs no role.  A page without a row fails the build; so does a row
whose page is gone.  Whoever is not signed in is sent to the sign-in page.
"""

TABLE = """
GET    /                                      viewer     any   200
GET    /parts/hosts/                          viewer     any   200
GET    /parts/operation/{vm_op}/              viewer     ECHV  200
GET    /incidents/{incident}/                 viewer     ECH   200
GET    /incidents/{incident}/part/            viewer     ECH   200
GET    /hosts/{node1}/confirm-rebooted/       operator   ECH   200
POST   /hosts/{node1}/confirm-rebooted/       operator   ECH   422

GET    /password/                             signed-in  any   200
POST   /password/                             signed-in  any   200

GET    /sign-in/                              public     any   200
POST   /sign-in/                              public     any   200
POST   /sign-out/                             public     any   302

GET    /livez                                 public     any   200
GET    /readyz                                public     any   503
GET    /metrics                               public     any   200
GET    /api/schema/                           public     any   200
GET    /api/docs/                             public     any   200
"""
