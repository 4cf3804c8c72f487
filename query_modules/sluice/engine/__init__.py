"""One running stream: groups of batches into transactions, and everything that can go wrong on the way."""
