"""Writing down who is told what: short transactions, nothing is sent here."""
