"""The operating system's account that a command runs under, which records name; the environment cannot change it."""

import os
import pwd


def account_name() -> str:
    """Give the name of the account by its number, so that `LOGNAME` cannot forge it.

    An account without a name, such as a container's user, is named by its number.
    """
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
