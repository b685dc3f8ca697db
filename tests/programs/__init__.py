"""Real programs, natively and supervised: what they print and how they end has to be the same.

`stage` runs clients and servers of one test, `compared` turns a body into tests of both modes, `needs` knows which
Debian package brings which program, `processes` sees to it that none is left, `sources` holds the programs written
for these tests.
"""
