"""Fakes of what a handler works with: enough to run it in this process, without seccomp and without a program.

They are kept true by one test that asks the same questions of them and of the real things
(`tests/unit/syscalls/test_fakes.py`). What they cannot know is not pretended: sockets are real ones of this process.
"""
