"""The whole product, with all its real processes, driven from outside."""
