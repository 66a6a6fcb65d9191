"""What all tests share: how Hypothesis runs."""

import os

from hypothesis import HealthCheck, settings

# No deadline: the first example of a test may load the compiled kernel, and coverage slows all of them.
_SHARED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("local", settings(**_SHARED))
settings.register_profile("ci", settings(derandomize=True, print_blob=True, **_SHARED))
settings.load_profile("ci" if os.environ.get("CI") else "local")
