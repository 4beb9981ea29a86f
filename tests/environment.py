"""Gives the tests a folder of their own before the settings are read.

Loaded with ``-p tests.environment``: pytest-django reads the settings before any
conftest.py, and they create keys in ``HOLDFAST_VAR``.  Each xdist worker has its own.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

VAR = Path(tempfile.mkdtemp(prefix="holdfast-tests-"))
atexit.register(shutil.rmtree, VAR, ignore_errors=True)

for _name in [name for name in os.environ if name.startswith("HOLDFAST_")]:
    del os.environ[_name]  # what the person at the keyboard set is not what is tested
os.environ.pop("DATABASE_URL", None)
os.environ["HOLDFAST_VAR"] = str(VAR)
# pytest-playwright runs an event loop in the thread of the test.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
