"""The 18 calls: one row each in `table`, one handler each by section of the manual, one dispatcher for all."""
