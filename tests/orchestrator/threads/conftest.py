"""Stores of threads of every kind, and a private Postgres server."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from affectgraph.orchestrator.threads import (
    MemoryThreads,
    PostgresThreads,
    SqliteThreads,
    ThreadStore,
)
from tests.orchestrator.threads.thread_helpers import Talk

AS_POSTGRES = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
"""A server refuses to run as root."""


def _programs() -> Path | None:
    found = shutil.which("initdb")
    homes = [Path(found).resolve().parent] if found else []
    homes += [Path(home) for home in sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)]  # noqa: PTH207
    return next((home for home in homes if (home / "pg_ctl").exists()), None)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Connection string of a server that lives as long as the tests."""
    pytest.importorskip("langgraph.checkpoint.postgres", reason="the extra postgres is absent")
    programs = _programs()
    if programs is None:
        pytest.skip("no Postgres server is installed")
    # Short, for a socket's path; and outside of pytest's folders, which only their owner enters.
    home = Path(tempfile.mkdtemp(prefix="threads-pg-"))
    data = home / "data"
    control = [*AS_POSTGRES, str(programs / "pg_ctl"), "-D", str(data), "-w"]
    options = f"-c listen_addresses= -c fsync=off -k {home}"
    try:
        if AS_POSTGRES:
            shutil.chown(home, "postgres")
        setup = [*AS_POSTGRES, str(programs / "initdb"), "-D", str(data), "-A", "trust"]
        for command in (
            [*setup, "-U", "tests", "-E", "UTF8", "--locale=C", "--no-sync"],
            [*control, "-o", options, "-l", str(home / "log"), "start"],
        ):
            done = subprocess.run(command, capture_output=True, text=True, cwd=home, check=False)
            if done.returncode:
                pytest.skip(f"no Postgres server could be started: {done.stderr.strip()[-200:]}")
        yield f"postgresql://tests@/postgres?host={home}"
    except (LookupError, OSError) as error:
        pytest.skip(f"no Postgres server could be started: {error}")
    finally:
        stop = [*control, "-m", "immediate", "stop"]
        subprocess.run(stop, capture_output=True, cwd="/", check=False)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def postgres_env(postgres_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of the variable that holds the connection string of an empty database."""
    import psycopg

    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    monkeypatch.setenv("TEST_POSTGRES", postgres_server)
    return "TEST_POSTGRES"


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def closed_store(request: pytest.FixtureRequest, tmp_path: Path) -> ThreadStore:
    """A store that was never opened."""
    if request.param == "memory":
        return MemoryThreads(allowed=Talk)
    if request.param == "sqlite":
        return SqliteThreads(tmp_path / "new" / "threads.sqlite", allowed=Talk)
    return PostgresThreads(request.getfixturevalue("postgres_env"), allowed=Talk)


@pytest.fixture
async def store(closed_store: ThreadStore) -> AsyncIterator[ThreadStore]:
    """An open store."""
    await closed_store.open()
    yield closed_store
    await closed_store.close()
