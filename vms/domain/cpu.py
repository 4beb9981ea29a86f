"""Which host can run a VM that is tied to a CPU model: a small table of families.

A name is ``architecture/model``, such as ``x86_64/Haswell``, with libvirt's names of
models; without a model only the architecture counts.  A model that the table does not
know constrains nothing: the host's libvirtd refuses what it cannot run.
"""

#: family: the families that it has within itself.
_BUILT_ON: dict[str, tuple[str, ...]] = {
    "Conroe": (),
    "Penryn": ("Conroe",),
    "Nehalem": ("Penryn",),
    "Westmere": ("Nehalem",),
    "SandyBridge": ("Westmere",),
    "IvyBridge": ("SandyBridge",),
    "Haswell": ("IvyBridge",),
    "Broadwell": ("Haswell",),
    "Skylake-Client": ("Broadwell",),
    "Skylake-Server": ("Skylake-Client",),
    "Cascadelake-Server": ("Skylake-Server",),
    "Cooperlake": ("Cascadelake-Server",),
    "Icelake-Server": ("Cascadelake-Server",),
    "SapphireRapids": ("Icelake-Server", "Cooperlake"),
    "Opteron_G1": (),
    "Opteron_G2": ("Opteron_G1",),
    "Opteron_G3": ("Opteron_G2",),
    "Opteron_G4": ("Opteron_G2",),
    "Opteron_G5": ("Opteron_G4",),
    "EPYC": ("Opteron_G2",),
    "EPYC-Rome": ("EPYC",),
    "EPYC-Milan": ("EPYC-Rome",),
    "EPYC-Genoa": ("EPYC-Milan",),
    "POWER7": (),
    "POWER8": ("POWER7",),
    "POWER9": ("POWER8",),
    "POWER10": ("POWER9",),
}
#: What people write for short.
_ALSO = {"Skylake": "Skylake-Client", "Cascadelake": "Cascadelake-Server"}
_NO_TSX = "-noTSX"
#: architecture: those that its CPUs run as well.
_RUNS_TOO = {
    "x86_64": ("i686",),
    "aarch64": ("armv7l",),
    "ppc64": ("ppc64le",),
    "ppc64le": ("ppc64",),
}


def _family(model: str) -> str:
    """Return the family of a libvirt model name, without what firmware and TSX add to it."""
    for ending in ("-IBRS", "-IBPB", _NO_TSX):
        model = model.removesuffix(ending)
    return _ALSO.get(model, model)


def _within(family: str) -> set[str]:
    found = {family}
    for older in _BUILT_ON[family]:
        found |= _within(older)
    return found


_HAS = {family: frozenset(_within(family)) for family in _BUILT_ON}


def cannot_run(host: str, wanted: str) -> str:
    """Return why a host with CPU ``host`` cannot run a VM that wants ``wanted``, or nothing."""
    host_arch, _, host_model = host.partition("/")
    arch, _, model = wanted.partition("/")
    if not host_arch or not arch:
        return ""
    if host_arch != arch and arch not in _RUNS_TOO.get(host_arch, ()):
        return f"its CPU is {host_arch}, {arch} needed"
    has, needs = _HAS.get(_family(host_model)), _family(model)
    if has is None or needs not in _HAS:
        return ""
    # Hardware lock elision came with Haswell, and is switched off in many since.
    lacks_tsx = _NO_TSX in host_model and _NO_TSX not in model and "Haswell" in _HAS[needs]
    if needs not in has or lacks_tsx:
        return f"its CPU is of the family {host_model}, {model} needed"
    return ""
