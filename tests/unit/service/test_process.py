import ctypes
import resource

import pytest
from google.protobuf.internal import api_implementation

from service import process
from service.config import ConfigError

_PR_GET_DUMPABLE = 3


def test_no_core_dump_is_left() -> None:
    process.secure()

    assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0
    assert ctypes.CDLL(None).prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0) == 0


@pytest.mark.parametrize("name", ["GRPC_TRACE", "SSLKEYLOGFILE"])
def test_what_shows_credentials_stops_the_start(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "/somewhere")
    with pytest.raises(ConfigError, match=name):
        process.secure()


def test_a_protobuf_that_recurses_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_implementation, "Type", lambda: "python")
    with pytest.raises(ConfigError, match="upb"):
        process.secure()
