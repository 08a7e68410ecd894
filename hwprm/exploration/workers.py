"""Who computes the points: this process, worker processes of its own, or those of a standing Dask scheduler."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from hwprm.config import ExploreConfig
from hwprm.core.errors import InputError, ToolError
from hwprm.core.versions import package_digest

__all__ = ["Here", "Pool", "Shared", "pool_of"]

#: Times that a task may lose its worker before it is taken to be what kills them.
DEATHS = 5
#: Seconds to wait for a standing scheduler, and for its first worker.
CONNECT, FIRST_WORKER = 15, 60
PIP = "pip install 'hwprm[explore]'"

#: What tasks read and is sent to each worker once; a pool makes it with `share`.
Shared = Any


class Pool(Protocol):
    """Runs independent tasks. A task is a function of the module's top and its arguments; both can be pickled."""

    #: Tasks that run at the same time.
    width: int

    def share(self, value: Any) -> Shared:
        """`value` for use among the arguments of many tasks."""

    def run(self, function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
        """Index and result of each task, as they finish. Raises what a task raises."""


class Here:
    """One task after the other in this process."""

    width = 1

    def share(self, value: Any) -> Shared:
        """`value` itself."""
        return value

    def run(self, function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
        """Index and result of each task, in order."""
        for index, arguments in enumerate(tasks):
            yield index, function(*arguments)


@dataclass(frozen=True, eq=False)
class _Value:
    """A value that tasks share."""

    value: Any


def _gone(error: Exception) -> ToolError:
    why = next(iter(str(error).splitlines()), type(error).__name__)
    return ToolError(
        f"the scheduler or all of its workers went away ({why}); points that were finished are kept: start them again "
        "and run the same command"
    )


@contextmanager
def _without_log(name: str) -> Iterator[None]:
    """Nothing of the log `name`: what is wrong is raised as well, in one line."""
    log = logging.getLogger(name)
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(level)


class Workers:
    """The workers of a Dask scheduler, which gives the task of one that dies to another."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.width = max(1, sum(client.nthreads().values()))
        self._sent: dict[int, Any] = {}

    def share(self, value: Any) -> Shared:
        """What stands for `value`, which is sent to every worker once, and again where all that had it died."""
        return _Value(value)

    def _arguments(self, task: tuple[Any, ...]) -> list[Any]:
        return [self._future(part) if isinstance(part, _Value) else part for part in task]

    def _future(self, value: _Value) -> Any:
        if id(value) not in self._sent:
            self._client.wait_for_workers(1, timeout=FIRST_WORKER)
            self._sent[id(value)] = value, self._client.scatter(value.value, broadcast=True, hash=False)
        return self._sent[id(value)][1]

    def run(self, function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
        """Index and result of each task, as they finish."""
        from distributed.client import FutureCancelledError
        from distributed.scheduler import KilledWorker

        left = dict(enumerate(tasks))
        for death in range(DEATHS):
            try:
                yield from self._attempt(function, left)
                return
            except FutureCancelledError as error:  # what was shared is gone with the last worker that had it
                if death == DEATHS - 1 or self._client.status != "running":
                    raise _gone(error) from error
                self._sent.clear()
            except KilledWorker as error:
                raise ToolError(
                    f"a task lost its worker time and again and was given up ({error}); as a rule memory did not "
                    "suffice: take fewer workers, or machines with more"
                ) from error
            except (OSError, TimeoutError) as error:
                raise _gone(error) from error

    def _attempt(self, function: Callable[..., Any], left: dict[int, tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
        """The tasks `left`, each taken out when it is finished."""
        from distributed import as_completed

        futures = {self._client.submit(function, *self._arguments(task), pure=False): i for i, task in left.items()}
        try:
            finished = as_completed(list(futures), loop=self._client.loop)  # type: ignore[no-untyped-call]  # Dask's own
            for future in finished:
                result = future.result()
                del left[futures[future]]
                yield futures[future], result
        finally:
            self._client.cancel(list(futures), force=True)


@contextmanager
def pool_of(config: ExploreConfig) -> Iterator[Pool]:
    """The pool that `config` asks for; processes that it starts end with the block.

    Raises ToolError when Dask is missing, InputError when a scheduler does not answer or has no workers.
    """
    if not config.workers and not config.scheduler:
        yield Here()
        return
    try:
        import dask
        import distributed
    except ImportError as error:
        raise ToolError(f"worker processes need Dask ({error}); install it: {PIP}") from error
    # Tasks train for minutes in one thread of their own; a worker that says nothing meanwhile has not died.
    settings = {
        "distributed.scheduler.allowed-failures": DEATHS,
        "distributed.worker.daemon": False,
        "distributed.admin.tick.limit": "1h",
    }
    with dask.config.set(settings), _without_log("distributed.client"), _client(distributed, config) as client:
        yield Workers(client)


def _their_digest() -> str:
    """What a worker is asked, who looks it up where it is."""
    return package_digest()


def _check_workers(client: Any, scheduler: str) -> None:
    """Raise InputError where a worker of the standing `scheduler` has no hwprm, or another one than this machine."""
    try:
        found: dict[str, str] = client.run(_their_digest)
    except ImportError as error:
        raise InputError(
            f"a worker of {scheduler} cannot load hwprm ({error}); install the wheel of this machine there, with its "
            "extra explore"
        ) from error
    if others := sorted(address for address, digest in found.items() if digest != package_digest()):
        raise InputError(
            f"{len(others)} of {len(found)} workers of {scheduler} have another version of hwprm, the first is "
            f"{others[0]}; install the wheel of this machine there and start them again"
        )


@contextmanager
def _client(distributed: Any, config: ExploreConfig) -> Iterator[Any]:
    if config.scheduler:
        try:
            client = distributed.Client(config.scheduler, timeout=CONNECT, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise InputError(
                f"no Dask scheduler answers at {config.scheduler} ({error or type(error).__name__}); start one with "
                "`dask scheduler`, or use --workers N"
            ) from error
        with client:
            try:
                client.wait_for_workers(1, timeout=FIRST_WORKER)
            except TimeoutError as error:
                raise InputError(
                    f"the Dask scheduler at {config.scheduler} has no workers; start some with "
                    f"`dask worker {config.scheduler} --nthreads 1`"
                ) from error
            _check_workers(client, config.scheduler)
            yield client
        return
    with (
        distributed.LocalCluster(
            n_workers=config.workers, threads_per_worker=1, processes=True, dashboard_address=":0", memory_limit=0
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client
