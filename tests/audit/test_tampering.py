"""Every kind of tampering is found, with its place: in the tables and in an export, on both databases."""

from pathlib import Path

import pytest

from service.books.verification.findings import INTACT, Finding
from service.storage.database import Database
from tests.audit import chain_tamperings, checkpoint_tamperings, money_tamperings, record_tamperings
from tests.audit.made import Made
from tests.audit.scene import Scene, in_a_scene
from tests.audit.tamperings import TAMPERINGS, Act, Trace
from tests.databases import Clock

# Imported for what they register.
assert all((chain_tamperings, checkpoint_tamperings, money_tamperings, record_tamperings))


@pytest.fixture
async def made(database: Database, tmp_path: Path, clock: Clock) -> Made:
    books = Made(database, tmp_path, clock.shift)
    await books.write()
    return books


def shows(findings: list[Finding], trace: Trace) -> bool:
    return any(finding.kind == trace.kind and trace.where in finding.where for finding in findings)


async def test_untouched_books_verify_clean_in_the_tables_and_in_an_export(made: Made) -> None:
    async def look(scene: Scene) -> None:
        for report, findings in (await scene.verified(), scene.verified_export(await scene.exported())):
            assert findings == []
            assert report.unchecked == []
            assert report.exit_code == INTACT
            assert report.counted["records"] == sum(map(len, scene.writers))

    await in_a_scene(made, look)


async def test_every_kind_of_tampering_is_found_with_its_place(made: Made) -> None:
    missed = {}
    for name, act in TAMPERINGS.items():

        async def tamper(scene: Scene, act: Act = act) -> tuple[Trace, list[Finding], list[Finding]]:
            trace = await act(scene)
            _, in_tables = await scene.verified()
            _, in_export = scene.verified_export(await scene.exported())
            return trace, in_tables, in_export

        trace, in_tables, in_export = await in_a_scene(made, tamper)
        for place, findings in (("tables", in_tables), ("export", in_export)):
            if not shows(findings, trace):
                missed[name, place] = trace, [str(finding) for finding in findings]
    wanted = 2 * len(TAMPERINGS)
    print(f"\ntamperings found and located on {made.database.engine}: {wanted - len(missed)} of {wanted}")

    assert missed == {}
