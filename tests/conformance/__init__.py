"""One body of tests, run natively and supervised; the native kernel is the expected value."""
