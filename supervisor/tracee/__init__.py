"""One stopped thread of a program: its memory, its descriptors, who it is, and what signals it. Decides nothing."""
