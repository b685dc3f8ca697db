"""<linux/socket.h>, <linux/net.h>, <asm-generic/socket.h>: families, types, options, message flags."""

from typing import Final

AF_UNSPEC: Final = 0
AF_UNIX: Final = 1
AF_INET: Final = 2
AF_INET6: Final = 10
AF_NETLINK: Final = 16
AF_PACKET: Final = 17
AF_VSOCK: Final = 40
AF_SMC: Final = 43

SOCK_STREAM: Final = 1
SOCK_DGRAM: Final = 2
SOCK_RAW: Final = 3
SOCK_RDM: Final = 4
SOCK_SEQPACKET: Final = 5
SOCK_DCCP: Final = 6
SOCK_PACKET: Final = 10
SOCK_TYPE_MASK: Final = 0xF
SOCK_CLOEXEC: Final = 0o2000000
SOCK_NONBLOCK: Final = 0o4000

SOL_SOCKET: Final = 1
SO_TYPE: Final = 3
SO_ERROR: Final = 4
SO_LINGER: Final = 13
SO_PASSCRED: Final = 16
SO_PEERCRED: Final = 17
SO_RCVLOWAT: Final = 18
SO_RCVTIMEO: Final = 20
SO_SNDTIMEO: Final = 21
SO_ACCEPTCONN: Final = 30
SO_PROTOCOL: Final = 38
SO_DOMAIN: Final = 39
SO_PEEK_OFF: Final = 42
SO_COOKIE: Final = 57
SO_ZEROCOPY: Final = 60

SCM_RIGHTS: Final = 1
SCM_CREDENTIALS: Final = 2
SCM_PIDFD: Final = 4
SCM_MAX_FD: Final = 253

MSG_OOB: Final = 0x1
MSG_PEEK: Final = 0x2
MSG_DONTROUTE: Final = 0x4
MSG_CTRUNC: Final = 0x8
MSG_TRUNC: Final = 0x20
MSG_DONTWAIT: Final = 0x40
MSG_EOR: Final = 0x80
MSG_WAITALL: Final = 0x100
MSG_CONFIRM: Final = 0x800
MSG_ERRQUEUE: Final = 0x2000
MSG_NOSIGNAL: Final = 0x4000
MSG_MORE: Final = 0x8000
MSG_WAITFORONE: Final = 0x10000
MSG_ZEROCOPY: Final = 0x4000000
MSG_FASTOPEN: Final = 0x20000000
MSG_CMSG_CLOEXEC: Final = 0x40000000
MSG_CMSG_COMPAT: Final = 0x80000000
MSG_BATCH: Final = 0x40000
MSG_SENDPAGE_DECRYPTED: Final = 0x100000

SHUT_RD: Final = 0
SHUT_WR: Final = 1
SHUT_RDWR: Final = 2

SOMAXCONN: Final = 4096
UIO_MAXIOV: Final = 1024
SOCKADDR_STORAGE_SIZE: Final = 128
"""sizeof(struct sockaddr_storage): a longer address is EINVAL before anything else looks at it."""
