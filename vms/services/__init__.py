"""Everything that writes VMs, runs and proofs: one transaction each, no hardware."""
