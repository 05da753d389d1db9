"""What every store of Cohere keys does alike, each with its own client against the real thing or its stand-in."""

import pytest

from clients.errors import SecretMissing
from tests.stores.shelf import COHERE_KEYS, Shelf

FIRST, SECOND, THIRD = COHERE_KEYS


async def test_a_source_has_the_newest_version_and_its_name(shelf: Shelf) -> None:
    await shelf.put(FIRST)
    name = await shelf.put(SECOND)
    secret = await shelf.source.read()

    assert (secret.reveal(), secret.version) == (SECOND, name)


async def test_a_new_version_is_there_at_the_next_read(shelf: Shelf) -> None:
    await shelf.put(FIRST)
    before = await shelf.source.read()
    await shelf.put(SECOND)
    after = await shelf.source.read()

    assert (before.reveal(), after.reveal()) == (FIRST, SECOND)
    assert before.version != after.version


async def test_the_version_before_is_the_one_below(shelf: Shelf) -> None:
    for value in (FIRST, SECOND, THIRD):
        await shelf.put(value)
    previous = await shelf.source.read_previous()

    assert previous is not None
    assert previous.reveal() == SECOND


async def test_a_first_version_has_none_before_it(shelf: Shelf) -> None:
    await shelf.put(FIRST)

    assert await shelf.source.read_previous() is None


async def test_a_secret_that_is_not_there_is_missing_not_unavailable(shelf: Shelf) -> None:
    reference = shelf.source.reference.replace("#api_key", "")
    absent = shelf.other(f"{reference}-absent{'#api_key' if shelf.source.kind == 'vault' else ''}")

    with pytest.raises(SecretMissing) as missing:
        await absent.read()

    assert str(missing.value).startswith(f"{absent.reference}: ")


async def test_a_field_of_what_is_there_can_be_meant(shelf: Shelf) -> None:
    if shelf.source.kind == "vault":
        await shelf.put(FIRST)
    else:
        await shelf.put(f'{{"api_key": "{FIRST}", "number": 7}}')
    reference = shelf.source.reference.partition("#")[0]

    assert (await shelf.other(f"{reference}#api_key").read()).reveal() == FIRST
    for name in ("number", "absent"):
        with pytest.raises(SecretMissing, match="of this name"):
            await shelf.other(f"{reference}#{name}").read()


@pytest.mark.parametrize("value", [f" {FIRST}\n", f'"{FIRST}"', "sk-\N{LATIN SMALL LETTER E WITH ACUTE}"])
async def test_what_is_there_comes_as_it_is(shelf: Shelf, value: str) -> None:
    await shelf.put(value)
    read = (await shelf.source.read()).reveal()

    assert read in {value, value.encode().decode("latin-1")}


async def test_what_is_too_long_is_no_key(shelf: Shelf) -> None:
    await shelf.put("k" * 4097)

    with pytest.raises(SecretMissing, match="longer than 4096 bytes"):
        await shelf.source.read()


async def test_a_disabled_newest_version_does_not_hide_an_older_one_where_the_store_has_such(shelf: Shelf) -> None:
    for value in (FIRST, SECOND, THIRD):
        await shelf.put(value)
    await shelf.disable_newest()

    if shelf.source.kind == "vault":  # there the newest version is the current one, deleted or not
        with pytest.raises(SecretMissing, match="or it is deleted"):
            await shelf.source.read()
    else:
        assert (await shelf.source.read()).reveal() == SECOND


@pytest.mark.parametrize("shelf", ["vault", "gcp-sm", "azure-kv"], indirect=True)
async def test_a_disabled_version_is_not_the_one_before(shelf: Shelf) -> None:
    for value in (FIRST, SECOND):
        await shelf.put(value)
    await shelf.disable_newest()
    await shelf.put(THIRD)
    previous = await shelf.source.read_previous()

    assert previous is not None
    assert previous.reveal() == FIRST
