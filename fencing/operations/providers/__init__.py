"""The house's own HA providers; those of others come by entry point (docs/providers.md)."""
