"""Power, HA and incidents over REST, and what they add to hosts, clusters and VMs."""
