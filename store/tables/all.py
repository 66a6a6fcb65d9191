"""All tables, to be imported by migrations and by tests that compare with them."""

import fivefold.store.tables.accounts
import fivefold.store.tables.audit
import fivefold.store.tables.entities
import fivefold.store.tables.events
import fivefold.store.tables.flows
import fivefold.store.tables.groups
import fivefold.store.tables.levels
import fivefold.store.tables.operations
import fivefold.store.tables.predictions
import fivefold.store.tables.queue
import fivefold.store.tables.recourse
import fivefold.store.tables.rulesets  # noqa: F401 (imported for their tables alone)
