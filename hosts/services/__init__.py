"""Everything that writes hosts: one transaction each, no hardware."""
