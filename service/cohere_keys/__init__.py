"""The teams' Cohere keys: where each is read from, whether Cohere takes it, and what rotates it, as the config says."""
