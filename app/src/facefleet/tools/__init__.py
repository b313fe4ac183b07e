"""One-off commands for people and playbooks."""
