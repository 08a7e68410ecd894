"""Pools: every task has one result, whoever computes it and whoever dies."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hwprm.config import ExploreConfig
from hwprm.core.errors import InputError, ToolError
from hwprm.exploration.workers import Here, Pool, _check_workers, pool_of


@pytest.fixture(scope="module")
def two() -> Iterator[Pool]:
    """Two worker processes."""
    with pool_of(ExploreConfig(workers=2)) as pool:
        yield pool


def doubled(values: list[int], index: int) -> tuple[int, int]:
    """Twice an entry, and the process that computed it."""
    return 2 * values[index], os.getpid()


def once(index: int, mark: str) -> int:
    """`index`; the first worker that has the task number 2 is killed in it."""
    if index == 2 and not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return index


def broken(index: int) -> int:
    """No result for the second task."""
    if index == 1:
        raise InputError("no such thing")
    return index


def slow(index: int) -> tuple[int, int]:
    """Long enough for both workers to have some."""
    time.sleep(0.1)
    return index, os.getpid()


def test_here_in_order() -> None:
    pool = Here()
    values = pool.share([5, 6, 7])
    found = list(pool.run(doubled, [(values, i) for i in range(3)]))
    assert found == [(0, (10, os.getpid())), (1, (12, os.getpid())), (2, (14, os.getpid()))]


def test_two_processes_share_the_work(two: Pool) -> None:
    assert two.width == 2
    values = two.share([5, 6, 7])
    assert {i: value for i, (value, _) in two.run(doubled, [(values, i) for i in range(3)])} == {0: 10, 1: 12, 2: 14}
    processes = {process for _, (_, process) in two.run(slow, [(i,) for i in range(8)])}
    assert len(processes) == 2 and os.getpid() not in processes


def test_a_killed_worker_costs_no_result_and_counts_none_twice(two: Pool, tmp_path: Path) -> None:
    mark = tmp_path / "killed"
    found = list(two.run(once, [(i, str(mark)) for i in range(6)]))
    assert mark.exists()
    assert sorted(found) == [(i, i) for i in range(6)]


def once_shared(values: list[int], index: int, mark: str) -> int:
    """`once`, with a value that every worker was sent."""
    return values[once(index, mark)]


def test_what_was_shared_is_sent_again_when_all_that_had_it_died(tmp_path: Path) -> None:
    with pool_of(ExploreConfig(workers=1)) as pool:
        values = pool.share([5, 6, 7, 8])
        found = list(pool.run(once_shared, [(values, i, str(tmp_path / "killed")) for i in range(4)]))
        assert sorted(found) == [(0, 5), (1, 6), (2, 7), (3, 8)]


def test_an_error_comes_through(two: Pool) -> None:
    with pytest.raises(InputError, match="no such thing"):
        list(two.run(broken, [(0,), (1,), (2,)]))
    assert dict(two.run(broken, [(0,), (2,)])) == {0: 0, 1: 2}  # the pool lives on


def test_no_scheduler_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hwprm.exploration.workers.CONNECT", 1)
    with (
        pytest.raises(InputError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9 .*`dask scheduler`"),
        pool_of(ExploreConfig(scheduler="tcp://127.0.0.1:9")),
    ):
        pass


class Heard(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.lines.append(record.getMessage())


def test_a_scheduler_that_goes_away_is_one_line() -> None:
    code = (
        "import time; from distributed import LocalCluster; "
        "here = LocalCluster(n_workers=1, threads_per_worker=1, processes=False, protocol='tcp', "
        "dashboard_address=None); "
        "print(here.scheduler_address, flush=True); time.sleep(600)"
    )
    root = Path(__file__).resolve().parents[3]
    with (
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=root) as server,
        ExitStack() as ends,
    ):
        ends.callback(server.kill)
        log, heard = logging.getLogger("distributed.client"), Heard()
        log.addHandler(heard)
        ends.callback(log.removeHandler, heard)
        assert server.stdout is not None
        config = ExploreConfig(scheduler=server.stdout.readline().strip())
        with (
            pytest.raises(ToolError, match=r"went away \(.*\); points that were finished are kept: .*") as caught,
            pool_of(config) as pool,
        ):
            for _ in pool.run(slow, [(i,) for i in range(100)]):
                server.kill()
                time.sleep(2)  # the client tries to come back by then, which it says
    assert "\n" not in str(caught.value) and heard.lines == []


def test_without_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with (
        pytest.raises(ToolError, match=r"worker processes need Dask .*pip install 'hwprm\[explore\]'"),
        pool_of(ExploreConfig(workers=1)),
    ):
        pass


@pytest.mark.parametrize("own", [None, "another digest"])
def test_workers_of_a_standing_scheduler_must_have_the_same_hwprm(
    own: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        config = ExploreConfig(scheduler=cluster.scheduler_address)
        if own is None:
            with pool_of(config) as pool:
                assert list(pool.run(broken, [(0,)])) == [(0, 0)]
            return
        monkeypatch.setattr("hwprm.exploration.workers.package_digest", lambda: own)
        with (
            pytest.raises(InputError, match=r"1 of 1 workers of tcp://.* have another version .*install the wheel"),
            pool_of(config),
        ):
            pass


def test_workers_without_hwprm_are_told_so() -> None:
    class Client:
        def run(self, function: object) -> dict[str, str]:
            raise ModuleNotFoundError("No module named 'hwprm'")

    with pytest.raises(InputError, match=r"cannot load hwprm .*; install the wheel of this machine"):
        _check_workers(Client(), "tcp://there:8786")
