"""A payload to try for each task type that comes with the system."""

EXAMPLES = {
    "test": "task data here",
    "wordcount": "the quick brown fox jumps over the lazy dog and the fox is gone",
    "primes": 2_000_000,
    "sleep": 2.5,
    "sleep_async": 2.5,
    "checksum": {"file": "architecture.md", "algorithm": "sha256"},
    "flaky": 0.5,
}
