"""One body of tests, run natively and supervised; the native kernel is the expected value.

* `python -m pytest tests/conformance -k connect` compares (case, kind, mode) one by one, with a diff where they differ;
* `python -m tests.conformance.table --differences` prints call x cases x same or different for every mode;
* `python -m tests.conformance.runner connect.success` runs cases where it is started and prints their traces;
* `python -m tests.conformance.steady 10` runs everything natively ten times: no case may change by itself.

A case is a function in `cases/`, by section of the man pages; what it may use is in `context` (calls that record),
`world` (quiet preparations), `waiting` (calls that block), `memory` and `address`. CONFORMANCE_SECONDS is the time
limit of a case, CONFORMANCE_JOBS how many run at once, CONFORMANCE_SUPERVISE another `supervise`.
"""
