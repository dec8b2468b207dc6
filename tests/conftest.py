"""What every test shares: generated inputs without a stopwatch."""

from hypothesis import settings

# Two noisy cores: a slow example is not a wrong one.
settings.register_profile("house", deadline=None)
settings.load_profile("house")
