"""Delivery of faces until their receipts: the outbox and the sender. Independent of images."""
