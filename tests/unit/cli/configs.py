"""Small configs whose secrets lie in files beside them."""

from pathlib import Path

from tests.books_lines import books_lines

PEPPER = "pepper-of-the-tests-0123456789abcdef"


def write_config(folder: Path, *, more: str = "", team: str = "", peppers: str = '1 = "file:pepper"') -> Path:
    """Writes a config of one team, its pepper, its Cohere key and the audit's keys, and gives the config's path."""
    (folder / "pepper").write_text(f"{PEPPER}\n")
    (folder / "demo.key").write_text("co-demo\n")
    file = folder / "cohort.toml"
    file.write_text(
        f'environment = "test"\n{books_lines(folder)}[peppers]\n{peppers}\n'
        '[teams.demo]\ncohere_key = "file:demo.key"\nmodels = ["command-a-03-2025", "embed-v4.0"]\n'
        f"max_tokens_per_call = 500\ndaily_budget_usd = 25\n{team}\n{more}\n"
    )
    return file
