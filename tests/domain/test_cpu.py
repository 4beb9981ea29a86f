"""A VM that is tied to a CPU starts on the same architecture and a family that has it."""

import pytest

from vms.domain.cpu import cannot_run


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        ("x86_64/Skylake-Client", "x86_64/Haswell"),
        ("x86_64/Haswell", "x86_64/Haswell"),
        ("x86_64/Skylake-Client-noTSX-IBRS", "x86_64/Haswell-noTSX"),
        ("x86_64/Skylake-Client-noTSX-IBRS", "x86_64/IvyBridge-IBRS"),
        ("x86_64/Haswell", "x86_64/Haswell-noTSX"),
        ("x86_64/Cascadelake-Server", "x86_64/Skylake"),
        ("x86_64/EPYC-Milan", "x86_64/EPYC-Rome"),
        ("x86_64/SapphireRapids", "x86_64/Cooperlake"),
        ("x86_64/Haswell", "x86_64"),
        ("x86_64/Haswell", "i686/"),
        ("x86_64/Haswell", ""),
        ("", "x86_64/Haswell"),
        ("x86_64/qemu64", "x86_64/Haswell"),
        ("x86_64/Haswell", "x86_64/Tomorrows-Lake"),
    ],
)
def test_a_family_runs_what_it_has_within_itself_and_the_unknown_constrains_nothing(
    host: str, wanted: str
) -> None:
    assert cannot_run(host, wanted) == ""


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        ("x86_64/SandyBridge", "x86_64/Haswell"),
        ("x86_64/EPYC", "x86_64/Haswell"),
        ("x86_64/Haswell", "x86_64/EPYC"),
        ("x86_64/Skylake-Client", "x86_64/Skylake-Server"),
        ("x86_64/Haswell-noTSX", "x86_64/Haswell"),
        ("x86_64/EPYC", "x86_64/Opteron_G5"),
    ],
)
def test_another_family_is_refused_by_name(host: str, wanted: str) -> None:
    model = host.partition("/")[2]
    assert cannot_run(host, wanted).startswith(f"its CPU is of the family {model}, ")


def test_another_architecture_is_refused_even_without_a_model() -> None:
    assert cannot_run("i686/", "x86_64/") == "its CPU is i686, x86_64 needed"
    assert cannot_run("aarch64/", "x86_64/") == "its CPU is aarch64, x86_64 needed"
