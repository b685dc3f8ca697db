"""CPython's own tests, natively and supervised: what passes natively has to pass supervised.

`python -m tests.cpython.compare` is the door. `modules` says what is run and what is left out, `record` runs inside
the Python that is tested, `run` starts it and survives its hangs, `judge` is pure and says what differs.
"""
