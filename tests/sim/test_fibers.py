"""Tasks that wait in virtual time: each for as long as it asked, and none after its death."""

from collections.abc import Callable, Generator

from portal.sim.engine import Engines
from portal.sim.fibers import Fibers
from portal.sim.timeline import Timeline


def _task(fibers: Fibers, seconds: float, told: list[float]) -> Callable[[], None]:
    def wait() -> Generator[float, None, None]:
        yield seconds

    def work() -> None:
        fibers.drive(wait())
        told.append(fibers.line.seconds)

    return work


def _engines(line: Timeline, *names: str) -> Engines:
    return Engines(line, lambda *_: None, names or ("engine1",))


def test_tasks_wait_side_by_side_in_virtual_time() -> None:
    line, told = Timeline(), list[float]()
    fibers = Fibers(_engines(line))
    for seconds in (5.0, 2.0):
        fibers.spawn(_task(fibers, seconds, told))
    line.run_until(10)
    fibers.close()
    assert told == [2.0, 5.0]


def test_a_task_waits_its_whole_time_although_a_killed_one_waited_in_its_thread() -> None:
    line, told = Timeline(), list[float]()
    engines = _engines(line)
    fibers = Fibers(engines)
    fibers.spawn(_task(fibers, 2.0, told))
    line.run_until(1)
    fibers.kill_waiting(engines.now)
    fibers.spawn(_task(fibers, 5.0, told))
    line.run_until(10)
    fibers.close()
    assert told == [6.0]
    assert fibers.errors == []


def test_an_engine_that_dies_takes_its_own_tasks_with_it_and_no_others() -> None:
    line, told = Timeline(), list[float]()
    engines = _engines(line, "engine1", "engine2")
    fibers = Fibers(engines)
    for node, seconds in zip(engines.nodes, (3.0, 4.0), strict=True):
        with engines.being(node):
            fibers.spawn(_task(fibers, seconds, told))
    line.run_until(1)
    fibers.kill_waiting(engines.node("engine1"))
    line.run_until(10)
    fibers.close()
    assert told == [4.0]


def test_what_a_task_raises_is_kept() -> None:
    fibers = Fibers(_engines(Timeline()))

    def fail() -> None:
        raise ValueError("broken")

    fibers.spawn(fail)
    fibers.close()
    assert [str(error) for error in fibers.errors] == ["broken"]
