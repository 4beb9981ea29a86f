"""The state machine as a document, made from the table itself so that it cannot lie."""

from collections.abc import Iterator

from portal.lib.ha.states import TRANSITIONS, HaEvent, HaState

_HEAD = """# HA states

Made from the table in `portal/lib/ha/states.py` by `manage.py ha-diagram`; do not edit.
A test holds the two together.

Every pair of state and event is defined: what is not drawn leaves the state as it is.
Only `proven_off` leads to `fenced`.
"""


def _arrows() -> Iterator[str]:
    for state in HaState:
        targets: dict[HaState, list[HaEvent]] = {}
        for event in HaEvent:
            target = TRANSITIONS[state][event]
            if target is not state:
                targets.setdefault(target, []).append(event)
        for target, events in targets.items():
            yield f"    {state} --> {target} : {', '.join(events)}"


def _table() -> Iterator[str]:
    yield "| event \\ state | " + " | ".join(HaState) + " |"
    yield "|---" * (len(HaState) + 1) + "|"
    for event in HaEvent:
        cells = [TRANSITIONS[state][event] for state in HaState]
        shown = [
            "·" if new is state else str(new) for state, new in zip(HaState, cells, strict=True)
        ]
        yield f"| **{event}** | " + " | ".join(shown) + " |"


def document() -> str:
    """Return the diagram (Mermaid) and the whole table as Markdown."""
    arrows = "\n".join(["stateDiagram-v2", "    [*] --> disabled", *_arrows()])
    return f"{_HEAD}\n```mermaid\n{arrows}\n```\n\n" + "\n".join(_table()) + "\n"
