"""Everything that writes power, HA state, incidents and alerts; no hardware."""
