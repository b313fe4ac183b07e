"""The long-running services, one module or package each. None imports another."""
