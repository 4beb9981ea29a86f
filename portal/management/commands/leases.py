"""``manage.py leases``: take a lease volume into use, compare it, and bring lost rows back."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from hosts.models import StorageDomain
from hosts.storage.port import StorageError
from vms.operations import volumes


class Command(BaseCommand):
    """One lease volume, named by its storage domain (and cluster, where two have that name)."""

    help = "prepare DOMAIN SLOTS | check DOMAIN | rebuild DOMAIN"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take what to do, and with which domain."""
        parser.add_argument("what", choices=["prepare", "check", "rebuild"])
        parser.add_argument("domain")
        parser.add_argument("slots", nargs="?", type=int, default=0)
        parser.add_argument("--cluster", default="", help="where two clusters have such a domain")
        parser.add_argument("--as", dest="actor", default="console", help="who does it")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it, and say what was found."""
        domain = _domain(options["domain"], options["cluster"])
        try:
            if options["what"] == "prepare":
                volumes.prepare(domain, options["slots"])
                self.stdout.write(f"{domain.name} has {options['slots']} lease slots")
            elif options["what"] == "rebuild":
                names = volumes.rebuild(domain, options["actor"])
                self.stdout.write("\n".join(names) or "no row was missing")
            else:
                self._check(domain)
        except (StorageError, ValueError) as error:
            raise CommandError(str(error)) from None

    def _check(self, domain: StorageDomain) -> None:
        for item in volumes.check(domain):
            told = f"row {item.row or 'none'}, index {item.index.state} {item.index.vm}".rstrip()
            self.stdout.write(f"slot {item.slot}: {told}, record {item.record or 'none'}")
        self.stdout.write(f"{domain.name}: {domain.lease_slots} slots compared")


def _domain(name: str, cluster: str) -> StorageDomain:
    rows = StorageDomain.objects.filter(name=name)
    found = list(rows.filter(cluster__name=cluster) if cluster else rows)
    if len(found) != 1:
        raise CommandError(f"domain: {len(found)} are named {name!r}; see --cluster")
    return found[0]
