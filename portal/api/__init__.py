"""The REST API: its router, and the resources that belong to no single app."""
