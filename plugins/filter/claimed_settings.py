"""`ansible_facts | claimed_settings`: find facts that a host must not return."""

import re

# Facts with these names would override settings, the host's place in the inventory, what a
# preflight found, or Ansible's own variables. `setup` returns none of them.
SETTINGS = re.compile(
    r"_*(facefleet|pki)_"
    r"|(connection_problem|inventory_hostname(_short)?|inventory_(dir|file)|group_names"
    r"|(\w+_)?problems"
    r"|omit|lookup|query|q|now|undef|range|dict|namespace)$"
)


def claimed_settings(facts):
    """Return up to five such names among a host's facts."""
    return sorted(name[:60] for name in map(str, facts) if SETTINGS.match(name))[:5]


class FilterModule:
    def filters(self):
        return {"claimed_settings": claimed_settings}
