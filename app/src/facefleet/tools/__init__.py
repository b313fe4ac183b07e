"""Commands that a person or a playbook runs once."""
