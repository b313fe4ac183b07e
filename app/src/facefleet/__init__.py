"""Faces from a fleet of cameras, over MQTT, into a bucket, and none lost."""
