"""The entity-agnostic HA framework: pure, it knows no hosts and no VMs."""
