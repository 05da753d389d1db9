"""The RPCs: each servicer is a pipeline of named steps and nothing else."""
