"""`ansible_facts | claimed_settings`: what a host has no business to return as a fact."""

import re

# A fact of such a name would stand for a setting, for the host's place in the inventory, or for a
# word of Ansible's own. `setup` returns none of them.
SETTINGS = re.compile(
    r"_*(facefleet|pki)_"
    r"|(unworkable|inventory_hostname(_short)?|inventory_(dir|file)|group_names|problems"
    r"|omit|lookup|query|q|now|undef|range|dict|namespace)$"
)


def claimed_settings(facts):
    """The names in question among a host's facts, at most five."""
    return sorted(name[:60] for name in map(str, facts) if SETTINGS.match(name))[:5]


class FilterModule:
    def filters(self):
        return {"claimed_settings": claimed_settings}
