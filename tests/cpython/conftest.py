import os

# Many minutes: collected when asked for, by name or by this variable, not along with everything else.
collect_ignore = [] if os.environ.get("SUPERVISE_CPYTHON") == "1" else ["test_cpython.py"]
