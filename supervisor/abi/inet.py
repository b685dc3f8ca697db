"""<linux/in.h>, <linux/in6.h>, <netinet/tcp.h>."""

from typing import Final

IPPROTO_IP: Final = 0
IPPROTO_ICMP: Final = 1
IPPROTO_TCP: Final = 6
IPPROTO_UDP: Final = 17
IPPROTO_DCCP: Final = 33
IPPROTO_IPV6: Final = 41
IPPROTO_ICMPV6: Final = 58
IPPROTO_SCTP: Final = 132
IPPROTO_UDPLITE: Final = 136
IPPROTO_RAW: Final = 255
IPPROTO_MPTCP: Final = 262

SOL_IP: Final = 0
IP_OPTIONS: Final = 4
IP_RETOPTS: Final = 7

SOL_IPV6: Final = 41
IPV6_2292PKTOPTIONS: Final = 6
IPV6_2292RTHDR: Final = 5
IPV6_FLOWLABEL_MGR: Final = 32
IPV6_RTHDR: Final = 57

TCP_FASTOPEN_CONNECT: Final = 30

SOCKADDR_IN_SIZE: Final = 16
SOCKADDR_IN6_SIZE: Final = 28
SIN6_LEN_RFC2133: Final = 24
"""An IPv6 address may lack sin6_scope_id; shorter than this it is EINVAL."""
