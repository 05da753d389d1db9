"""How often and how fast: limits of the teams, and the pace towards Cohere."""
