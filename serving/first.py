"""What a process of the service does before its other imports, which take most of its start."""

from fivefold.usecases.collector import look_seldom

look_seldom()
