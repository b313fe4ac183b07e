"""The flows of NetworkPolicies that services need to the addresses outside that they are told."""

import ipaddress
from urllib.parse import urlsplit

USUAL_PORTS = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322}


def flows_out(calls):
    """Flows for `calls`, pairs of a service and the URL that it is told.

    A policy cannot hold a host name: a service that is told one may reach that port anywhere.
    """
    return [
        {"from": service, "to": _end(url.hostname), "port": url.port or USUAL_PORTS[url.scheme]}
        for service, url in ((service, urlsplit(url)) for service, url in calls)
    ]


def _end(host):
    try:
        return str(ipaddress.ip_network(host))
    except ValueError:
        return "anywhere"


class FilterModule:
    def filters(self):
        return {"flows_out": flows_out}
