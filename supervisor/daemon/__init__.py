"""Wiring: listeners and their readers, the control socket, the log, life and death."""
