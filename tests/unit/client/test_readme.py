import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import cohort.client
from tests.unit.client.conftest import Service

README = Path(__file__).resolve().parents[3] / "protos" / "README.md"


async def test_the_example_of_the_readme_runs(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    namespace: dict[str, Any] = {"__name__": "example"}
    exec("".join(blocks), namespace)
    await namespace["main"](service.target, "cohort_test_abc")

    assert [rpc for rpc, _ in service.calls] == ["ChatRequest", "ChatRequest"]
    assert capsys.readouterr().out == "HelloHello 0198\n"


def test_the_readme_names_every_helper() -> None:
    text = README.read_text(encoding="utf-8")
    helpers = {name for name in cohort.client.__all__ if not inspect.isclass(getattr(cohort.client, name))}

    assert {helper for helper in helpers if f"`{helper}" not in text} == set()
