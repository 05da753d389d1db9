"""What pacing (`clients.pacing`) needs of the service: the rows that replicas share, the config, and its refusals."""
