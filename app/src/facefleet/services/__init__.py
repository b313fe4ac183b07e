"""The long-running programs, one module each; none imports another."""
