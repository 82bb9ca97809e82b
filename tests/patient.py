"""Property tests that a busy machine does not fail: no deadline, no complaint about slow generation."""

from hypothesis import HealthCheck, settings


def patient(max_examples: int = 100) -> settings:
    """Settings for a property test."""
    return settings(max_examples=max_examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])
