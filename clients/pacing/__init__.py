"""How fast a Cohere key may be used: turns, spread over time, shared by all replicas and fair between teams."""
