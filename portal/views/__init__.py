"""The pages: rendered whole by the server, kept fresh in parts."""
