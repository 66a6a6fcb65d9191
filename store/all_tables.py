"""Every table: whoever needs them all together - migrations, and tests that compare with them - imports this."""

import store.audit_tables
import store.entity_tables
import store.event_tables
import store.idempotency_tables
import store.level_tables
import store.proposal_tables
import store.rate_tables
import store.ruleset_tables  # noqa: F401 (imported for their tables alone)
