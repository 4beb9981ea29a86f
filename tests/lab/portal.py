"""``python -m tests.lab.portal HOSTS VMS [tls]``: Django first, then what needs its models.

Started by ``tests.lab.__main__``, with ``HOLDFAST_VAR`` in a folder of the lab's.
"""

import sys
from importlib import import_module

import django

if __name__ == "__main__":
    django.setup()
    hosts, vms, *rest = sys.argv[1:]
    import_module("tests.lab.seed").main(int(hosts), int(vms), tls="tls" in rest)
