"""Can this reconstruction be trusted here? What the data say of it, what the prior says, and what is usual of both
(docs/howto/audit.md)."""
