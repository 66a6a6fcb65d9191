"""Makes garbage collection rare before the other imports of a service process, which take most of its start."""

from fivefold.usecases.collector import look_seldom

look_seldom()
