"""struct msghdr, mmsghdr, iovec and cmsghdr of a 64-bit program (<linux/socket.h>, <linux/uio.h>)."""

import struct
from typing import Final, NamedTuple

from supervisor.abi.layout import Layout


class MessageHeader(NamedTuple):
    """struct user_msghdr. Pointers are the program's. `flags` is ignored on sending and written on receiving."""

    name: int
    namelen: int
    iov: int
    iovlen: int
    control: int
    controllen: int
    flags: int


MSGHDR: Final = Layout("struct msghdr", MessageHeader, [
    ("msg_name", "P"), ("msg_namelen", "i"), ("msg_iov", "P"), ("msg_iovlen", "N"), ("msg_control", "P"),
    ("msg_controllen", "N"), ("msg_flags", "i"),
])
MSGHDR_SIZE: Final = 56
MSGHDR_NAMELEN_OFFSET: Final = 8
MSGHDR_CONTROLLEN_OFFSET: Final = 40
MSGHDR_FLAGS_OFFSET: Final = 48
MMSGHDR_SIZE: Final = 64
MMSGHDR_LEN_OFFSET: Final = 56

IOVEC: Final = struct.Struct("@PN")
CMSGHDR: Final = struct.Struct("@Nii")
CMSG_ALIGNMENT: Final = 8
