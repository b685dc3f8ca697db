"""The doors: how `supervise` starts a program, mirrors it, and fails. `harness` has what these tests share."""
