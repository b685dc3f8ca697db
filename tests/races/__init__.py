"""What goes wrong only sometimes: signals, deaths, threads and descriptors that change while a call is serviced."""
