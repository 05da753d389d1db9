"""The gRPC server of Cohort: who may call, with what, and on which terms."""
