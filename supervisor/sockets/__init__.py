"""Values and protocols of sockets: addresses, control messages, options. Pure: bytes in, values out."""
