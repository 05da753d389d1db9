import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.callers import counted_in
from bench.processes import Server, ServerFailed, line_of, python_server
from bench.setting import prepare, setting_in, write_setting
from bench.upstream import Upstream
from bench.workloads import all_workloads
from service import config
from service.snapshot import snapshot_of
from tests.key_tables import access_keys_of

METRICS = """\
# HELP cohort_calls_total Calls by outcome.
# TYPE cohort_calls_total counter
cohort_calls_total{code="OK",reason="",rpc="/cohort.v1.GatewayService/Chat",team="a"} 7.0
cohort_calls_total{code="OK",reason="",rpc="/cohort.v1.GatewayService/Chat",team="b"} 2.0
cohort_calls_total{code="UNAVAILABLE",reason="X",rpc="/cohort.v1.GatewayService/Chat",team="a"} 3.0
cohort_calls_total{code="OK",reason="",rpc="/cohort.v1.GatewayService/Embed",team="a"} 100.0
"""


def test_the_config_is_one_that_cohort_starts_with_and_its_access_keys_are_good(tmp_path: Path) -> None:
    setting = setting_in(tmp_path, Upstream(8080, tmp_path / "answers"))
    loaded = config.load(setting.config)
    snapshot, access_keys = snapshot_of(loaded), access_keys_of(loaded)

    for workload in all_workloads().values():
        principal = access_keys.principal_of(setting.access_key_for(workload), time.time())
        base_url = snapshot.client_of(principal.team).base_url
        assert str(base_url) == ("http://127.0.0.1:8080/streams" if workload.streams else "http://127.0.0.1:8080")


def test_the_books_are_kept_where_the_config_is_or_in_the_database_that_is_named(tmp_path: Path) -> None:
    upstream, url = Upstream(8080, tmp_path / "answers"), "postgresql://postgres@/bench?host=/tmp/there"

    own = config.load(setting_in(tmp_path / "own", upstream).config)
    (tmp_path / "named").mkdir()
    named = config.load(write_setting(tmp_path / "named", upstream, url)[0])

    assert own.database_path() == tmp_path / "own" / "cohort.db"
    assert (named.database_path(), named.database_url()) == (None, url)


@pytest.mark.parametrize(
    ("name", "path"),
    [("Chat", "v2/chat"), ("ChatStream", "streams/v2/chat"), ("Embed 96", "v2/embed"), ("Rerank", "v2/rerank")],
)
def test_answers_lie_where_the_team_s_upstream_looks_for_them(tmp_path: Path, name: str, path: str) -> None:
    workload = all_workloads()[name]
    upstream = Upstream(8080, tmp_path)

    prepare(upstream, workload, first=True)
    assert (tmp_path / path).read_bytes() == (workload.first_answer or workload.answer)
    prepare(upstream, workload)
    assert (tmp_path / path).read_bytes() == workload.answer


def test_calls_that_ended_ok_are_counted_apart_from_all_others() -> None:
    assert counted_in(METRICS, "/cohort.v1.GatewayService/Chat") == (9, 3)
    assert counted_in(METRICS, "/cohort.v1.GatewayService/Rerank") == (0, 0)


def test_cpu_time_is_that_of_the_server_and_not_of_waiting(tmp_path: Path) -> None:
    busy = 'import time; print(\'{"event":"serving","port":1}\', flush=True)\nwhile time.process_time() < 9: pass'
    with python_server("a) busy (one", ["-c", busy], tmp_path) as server:
        deadline_s = time.monotonic() + 20
        while server.cpu_s() < 0.2 and time.monotonic() < deadline_s:
            pass
        assert 0.2 <= server.cpu_s() < 9
    assert server.process.returncode is not None


def test_a_server_that_ends_instead_of_serving_is_told_with_its_last_words(tmp_path: Path) -> None:
    with (
        pytest.raises(ServerFailed, match="the port is taken"),
        python_server("broken", ["-c", "raise SystemExit('the port is taken')"], tmp_path),
    ):
        pytest.fail("it was taken for a running server")


def test_a_line_is_waited_for_beyond_what_was_written_before(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b'{"event":"told","ms":1}\n')
    before_bytes = log.stat().st_size
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        log.write_bytes(log.read_bytes() + b'{"event":"other"}\n{"event":"told","ms":2}\n')

        assert line_of(log, "told", process, after=before_bytes) == {"event": "told", "ms": 2}
        process.communicate(b"\n")


def test_this_process_s_own_cpu_time_agrees_with_the_system_s(tmp_path: Path) -> None:
    class Myself:
        pid = os.getpid()

    server = Server("me", Myself(), tmp_path, 1, None)  # type: ignore[arg-type]

    assert server.cpu_s() == pytest.approx(time.process_time(), abs=0.1)
