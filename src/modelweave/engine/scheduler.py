"""Jobs in stages over a few threads.

A job is a generator: it yields a list of tasks and is sent the list of their results, in order, when all are done. Tasks of one
stage run in any order on any thread; stages of one job run one after another; several jobs are open at once, so that no thread
waits for the last task of a stage. Nothing a job computes depends on any of this.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

Task = Callable[[Any], Any]
Stages = Generator[list[Task], list[Any], None]


@dataclass
class Job:
    """Stages of work and the bytes they hold while they run, beyond the threads' own buffers."""

    stages: Stages
    footprint: int = 0


@dataclass
class _Stage:
    job: Job
    results: list[Any]
    left: int
    tasks: deque[tuple[int, Task]] = field(default_factory=deque)


class _Floor:
    """The shared state of one run; every method is called with the lock held."""

    def __init__(self, jobs: Iterator[Job], memory: int, threads: int) -> None:
        self.jobs, self.memory, self.threads = jobs, memory, threads
        self.open: deque[_Stage] = deque()
        self.held = self.alive = 0
        self.exhausted = False
        self.waiting: Job | None = None
        self.error: BaseException | None = None

    @property
    def over(self) -> bool:
        return self.error is not None or (self.exhausted and self.alive == 0 and self.waiting is None)

    def next_task(self) -> tuple[_Stage, int, Task] | None:
        while True:
            for stage in self.open:
                if stage.tasks:
                    return (stage, *stage.tasks.popleft())
            if self.alive > self.threads or not self._open_job():
                return None

    def _open_job(self) -> bool:
        """Take up one more job when its footprint fits; one alone always does."""
        job = self.waiting or (None if self.exhausted else next(self.jobs, None))
        if job is None:
            self.exhausted, self.waiting = True, None
            return False
        if self.alive and self.held + job.footprint > self.memory:
            self.waiting = job
            return False
        self.waiting = None
        self.alive += 1
        self.held += job.footprint
        self.open.append(_Stage(job, [], 0))
        self.advance(self.open[-1])
        return True

    def advance(self, stage: _Stage) -> None:
        """Move a job whose stage is complete to its next stage that has tasks, or to its end."""
        results: list[Any] | None = stage.results if stage.left == 0 and stage.results else None
        while True:
            try:
                tasks = stage.job.stages.send(results) if results is not None else next(stage.job.stages)
            except StopIteration:
                self.open.remove(stage)
                self.alive -= 1
                self.held -= stage.job.footprint
                return
            if tasks:
                stage.tasks = deque(enumerate(tasks))
                stage.results, stage.left = [None] * len(tasks), len(tasks)
                return
            results = []


def run_jobs(jobs: Iterable[Job], threads: int, memory: int, scratch: Callable[[], Any]) -> None:
    """Run every job to its end; each thread has one `scratch()` for all its tasks. The first error ends the run and is raised."""
    floor = _Floor(iter(jobs), memory, threads)
    bell = threading.Condition()

    def fail(error: BaseException) -> None:
        floor.error = floor.error or error
        bell.notify_all()

    def work() -> None:
        own = scratch()
        while True:
            with bell:
                try:
                    while (found := None if floor.over else floor.next_task()) is None and not floor.over:
                        bell.wait()
                except BaseException as error:
                    return fail(error)
                if found is None:
                    bell.notify_all()
                    return
            stage, index, task = found
            try:
                result = task(own)
                with bell:
                    stage.results[index] = result
                    stage.left -= 1
                    if stage.left == 0 and floor.error is None:
                        floor.advance(stage)
                        bell.notify_all()
            except BaseException as error:
                with bell:
                    return fail(error)

    workers = [threading.Thread(target=work, daemon=True) for _ in range(threads)]
    for worker in workers:
        worker.start()
    try:
        for worker in workers:
            worker.join()
    except BaseException as error:  # Ctrl-C reaches the main thread only
        with bell:
            fail(error)
        for worker in workers:
            worker.join()
    if floor.error is not None:
        raise floor.error
