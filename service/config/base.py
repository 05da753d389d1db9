"""What every section of the config is: frozen, and refusing what it does not know."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A table of settings; a docstring under each says what it means."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
