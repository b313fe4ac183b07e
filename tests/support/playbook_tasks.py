"""The tasks of a playbook or of a role's file, for tests that look at each."""

NESTED = ("tasks", "pre_tasks", "post_tasks", "handlers", "block", "rescue", "always", "apply")


def tasks(node):
    """Every task in a file, in whatever block, and what an include applies to its tasks."""
    if isinstance(node, list):
        for item in node:
            yield from tasks(item)
    elif isinstance(node, dict):
        yield node
        for key in NESTED:
            yield from tasks(node.get(key))
        for module in ("include_role", "include_tasks"):
            yield from tasks(node.get(f"ansible.builtin.{module}"))
