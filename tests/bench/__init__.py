"""What supervision costs: `make bench`, or `.venv/bin/python -m tests.bench`. Nothing here asserts a time."""
