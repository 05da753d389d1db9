"""Who calls: a credential becomes a Principal, or the caller is refused."""
