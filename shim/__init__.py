"""The launcher: what runs in the place where the program will be. Few imports, because its time is the program's."""
