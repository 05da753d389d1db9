"""A config that cannot be used, and how its problems are worded."""


class ConfigError(Exception):
    """The config cannot be used. `problems` holds every finding as `path: what is wrong`."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))
