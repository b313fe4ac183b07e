"""Addresses of hosts, and URLs made of them."""

import ipaddress


def is_ip(host):
    """Whether a host is named by an IP address, v4 or v6, and not by a name."""
    try:
        ipaddress.ip_address(bare(host))
    except ValueError:
        return False
    return True


def bare(host):
    """A host without the brackets that an IPv6 address may be written with."""
    host = str(host).strip()
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def host_url(scheme, host, port):
    """`'mqtts' | host_url('2001:db8::7', 31883)`: an IPv6 address gets its brackets."""
    host = bare(host)
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def san(host):
    """A host as a certificate's subjectAltName has it: `IP:192.0.2.7`, `DNS:cloud.example.org`."""
    host = bare(host)
    return f"IP:{ipaddress.ip_address(host)}" if is_ip(host) else f"DNS:{host}"


def reached_at(host, by_name):
    """Where Ansible reaches a host, from its variables; with `by_name`, its name will do."""
    return bare(host.get("ansible_host") or (host["inventory_hostname"] if by_name else ""))


class FilterModule:
    def filters(self):
        return {"host_url": host_url, "san": san, "reached_at": reached_at}
