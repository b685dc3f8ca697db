"""<linux/un.h>."""

from typing import Final

UNIX_PATH_MAX: Final = 108
SUN_PATH_OFFSET: Final = 2
SOCKADDR_UN_SIZE: Final = SUN_PATH_OFFSET + UNIX_PATH_MAX
