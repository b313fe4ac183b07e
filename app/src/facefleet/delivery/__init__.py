"""From a face to its receipt: the outbox and the sender. Knows nothing of pictures."""
