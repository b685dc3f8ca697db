"""Pure decisions: what was asked, what the rules say, and why. No clock, no file, no system call."""
