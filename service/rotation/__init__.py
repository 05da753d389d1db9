"""How a team's Cohere key gets from one version to the next: the state machine, its rows, and who works on it."""
