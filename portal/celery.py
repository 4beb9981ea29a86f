"""Celery's app: queues, routes and the beat of the house.

Celery carries wake-ups only.  ``acks_late`` stays off and redelivery is not
relied upon: rows are the truth, and the sweep finds them.
"""

import os

from celery import Celery
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

POLL_QUEUE = f"poll.{settings.ENGINE_NAME}"

app = Celery("holdfast")
app.conf.update(
    broker_url=settings.CELERY_BROKER_URL,
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "visibility_timeout": 3600,
        "socket_keepalive": True,
        "health_check_interval": 25,
        "global_keyprefix": "holdfast:",
    },
    task_ignore_result=True,
    task_acks_late=False,
    worker_prefetch_multiplier=1,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_hijack_root_logger=False,
    task_default_queue="default",
    task_routes={
        "vms.look": {"queue": POLL_QUEUE},
        # An engine lives for as long as its looks are made.
        "portal.beat": {"queue": POLL_QUEUE},
        "hosts.*": {"queue": "ha"},
        "vms.*": {"queue": "ha"},
        "fencing.advance": {"queue": "fence"},
        "fencing.capacity": {"queue": "default"},
        "fencing.recover": {"queue": "default"},
        "fencing.*": {"queue": "ha"},
        # Providers are somebody else's code: it runs in a process of its own.
        "resources.*": {"queue": "resources"},
        # Notifications: a receiver that is slow never delays the rest.
        "notify.*": {"queue": "default"},
        "portal.*": {"queue": "ha"},
    },
    beat_schedule={
        # Each finds due rows by itself; a cycle that runs twice changes nothing.
        "sweep": {"task": "portal.sweep", "schedule": 1.0, "options": {"expires": 2}},
        "resources": {"task": "resources.tend", "schedule": 1.0, "options": {"expires": 2}},
        "notify": {"task": "notify.sweep", "schedule": 1.0, "options": {"expires": 2}},
        "tidy": {"task": "notify.tidy", "schedule": 3600.0, "options": {"expires": 60}},
        "capacity": {"task": "portal.capacity", "schedule": 10.0, "options": {"expires": 10}},
    },
    beat_max_loop_interval=1,
    enable_utc=True,
    timezone="UTC",
)
app.autodiscover_tasks(["hosts", "vms", "fencing", "portal", "portal.notify"])
