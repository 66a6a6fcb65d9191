"""The account of the machine that a command runs under: what records name, whatever the environment says."""

import os
import pwd


def account_name() -> str:
    """Name the account by its number in the system's list, so that `LOGNAME` forges nothing.

    Where the list has no name for it, as for a container's user, the number is the name.
    """
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
