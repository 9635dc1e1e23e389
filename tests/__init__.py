"""
The tests of Launcelot; they mirror the package.

Hypothesis fails an example that takes 200 ms, and inputs that are made slowly, unless it is told not to: both say something about
the machine.  The programs that tests start import this as well, and need no Hypothesis.
"""

import sys

if "twisted.trial.runner" in sys.modules or "pytest" in sys.modules:
    from hypothesis import HealthCheck, settings

    # Every run tries others; half of Hypothesis's hundred is enough for one.
    settings.register_profile("launcelot", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("launcelot")
