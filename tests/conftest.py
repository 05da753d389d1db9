"""Hypothesis searches further when it is asked for proofs (`make prove`) than on every change."""

import hypothesis

hypothesis.settings.register_profile("prove", max_examples=2000, deadline=None)

pytest_plugins = ["tests.databases", "tests.idp.fixtures"]
