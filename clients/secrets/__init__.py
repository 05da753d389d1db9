"""Where Cohere keys live: each module is one kind of source, named by the prefix of its reference."""
