"""Addresses of hosts, and URLs with them."""

import ipaddress


def is_ip(host):
    """Return whether a host is given by an IP address (v4 or v6) instead of a name."""
    try:
        ipaddress.ip_address(bare(host))
    except ValueError:
        return False
    return True


def bare(host):
    """Return a host without the optional brackets of an IPv6 address."""
    host = str(host).strip()
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def host_url(scheme, host, port):
    """Return a URL, with brackets for IPv6: `'mqtts' | host_url('2001:db8::7', 31883)`."""
    host = bare(host)
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def san(host):
    """Return a host for subjectAltName, such as `IP:192.0.2.7` or `DNS:cloud.example.org`."""
    host = bare(host)
    return f"IP:{ipaddress.ip_address(host)}" if is_ip(host) else f"DNS:{host}"


def reached_at(host, by_name):
    """Return where Ansible reaches a host, given its variables; `by_name`: or else its name."""
    return bare(host.get("ansible_host") or (host["inventory_hostname"] if by_name else ""))


class FilterModule:
    def filters(self):
        return {"host_url": host_url, "san": san, "reached_at": reached_at}
