"""Notifications: events told by e-mail and webhook, off the path of high availability."""
