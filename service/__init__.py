"""The gRPC server of Cohort: who may call, with what, and on which terms."""

import os

# gRPC writes a line that is no JSON for every malformed header that anyone sends, which is a way to fill a disk. It
# reads this as it is imported, so it is set before anything else; an operator who sets it is heard.
if not os.getenv("GRPC_VERBOSITY"):
    os.putenv("GRPC_VERBOSITY", "NONE")
