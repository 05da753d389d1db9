"""The books: who spent what, and the record of it. Budgets and audit share one committer and one transaction."""
