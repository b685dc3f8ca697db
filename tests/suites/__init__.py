"""Other projects' tests, natively and supervised: what passes natively has to pass supervised.

`python -m tests.suites.compare` is the door. `suites` says what is run and what is left out, `environment` installs it,
`record_pytest` keeps pytest's record; everything else is `tests.cpython`'s.
"""
