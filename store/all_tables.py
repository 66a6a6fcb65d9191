"""Every table: whoever needs them all together - migrations, and tests that compare with them - imports this."""

import fivefold.store.audit_tables
import fivefold.store.entity_tables
import fivefold.store.event_tables
import fivefold.store.idempotency_tables
import fivefold.store.level_tables
import fivefold.store.proposal_tables
import fivefold.store.rate_tables
import fivefold.store.ruleset_tables  # noqa: F401 (imported for their tables alone)
