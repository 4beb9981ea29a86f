"""Measuring the product from outside: real processes, the API, and libvirt's own word."""
