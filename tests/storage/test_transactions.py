from service.storage.database import Database, Transaction


async def test_what_was_committed_is_read(database: Database) -> None:
    async def load(transaction: Transaction) -> None:
        await transaction.fetch("INSERT INTO price_book VALUES ($1, clock_us(), $2)", "1", "{}")

    async def loaded(transaction: Transaction) -> list[tuple[str]]:
        return await transaction.fetch("SELECT version FROM price_book")

    await database.transact(load)

    assert await database.read(loaded) == [("1",)]
