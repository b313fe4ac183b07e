"""The plan of a host: its services, and what follows from them.

A service is described in one file, `roles/facefleet/templates/services/KIND.yml.j2`. It gives name
to entry, with these keys:

runs_on: the groups of hosts that have it.
starts_after: the kinds that are brought up before it.
command, files, environment, secret_environment, state, reads, devices: as the role app_service
    takes them.
image: the target of app/Dockerfile.
port: of a process, on 127.0.0.1, with the variable to change it (port_variable); or port_offset,
    counted from the first port of the device. A pod listens on 8080. The service is told it as
    FACEFLEET_HTTP, and answers there when it is ready. A service without either has `ready`.
certificate: its name, usage and addresses. Its folder is what the service is told as
    FACEFLEET_TLS. rereads_certificate: whether it reads it again at SIGHUP.
connects_to: services of the same host, and addresses. accepts: who else may connect to it.
kubernetes: what only Kubernetes needs to know.
overrides: environment and resources that outrank those of the inventory for the whole kind
    (overrides.py).
"""

import ipaddress
from graphlib import TopologicalSorter
from urllib.parse import urlsplit

POD_ADDRESS = "0.0.0.0:8080"
USUAL_PORTS = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322}
PASSED_ON = (
    *("command", "files", "environment", "secret_environment", "state", "reads", "devices"),
    *("ready", "port_variable"),
)


def fleet_plan(kinds, host):
    """What runs on a host, in firing order, and what follows from it.

    `kinds`: kind to entries. `host`: its group, its runtime, the first port of its processes, the
    folder of its certificates (empty without TLS), and the version of the app.
    """
    chosen = in_firing_order(kinds)
    here = {name: entry for name, entry in chosen.items() if host["group"] in entry["runs_on"]}
    return {
        "services": {name: service(name, entry, host) for name, entry in here.items()},
        "s3": {
            name: service(name, entry, host)
            for name, entry in chosen.items()
            if "s3" in entry["runs_on"]
        },
        "images": list(
            dict.fromkeys(entry["image"] for entry in here.values() if "image" in entry)
        ),
        "certificates": [
            {"folder": certificate_folder(name, host), **entry["certificate"]}
            for name, entry in here.items()
            if "certificate" in entry
        ],
        "flows": network_flows(here) if host["runtime"] == "k3s" else [],
    }


def in_firing_order(kinds):
    """Name to entry. Raises graphlib.CycleError."""
    waits_for = {
        kind: [first for entry in entries.values() for first in entry.get("starts_after", [])]
        for kind, entries in kinds.items()
    }
    order = TopologicalSorter(waits_for).static_order()
    return {name: entry for kind in order for name, entry in kinds.get(kind, {}).items()}


def service(name, entry, host):
    """An entry as the role app_service takes it."""
    pod = host["runtime"] == "k3s"
    made = {key: entry[key] for key in PASSED_ON if key in entry}
    made["environment"] = dict(entry.get("environment", {}))
    made["reads"] = list(entry.get("reads", []))
    if "port" in entry or "port_offset" in entry:
        offset = entry.get("port_offset", 0)
        port = entry.get("port", host["first_port"] + offset)
        address = POD_ADDRESS if pod else f"127.0.0.1:{port}"
        made["environment"]["FACEFLEET_HTTP"] = address
        made["ready"] = f"http://{address}/readyz"
        made.setdefault("port_variable", "facefleet_first_port")
        if not pod:  # a pod's image is named by what is in it
            made["version"] = host["version"]
    if "certificate" in entry:
        folder = certificate_folder(name, host)
        made["reads"] += [folder] if folder else []
        if entry["certificate"]["usage"] == "clientAuth":
            made["environment"]["FACEFLEET_TLS"] = folder
        if entry.get("rereads_certificate"):
            made["rereads"] = folder
    if pod:
        made["kubernetes"] = entry.get("kubernetes", {})
        if "image" in entry:
            made["image"] = f"facefleet-{entry['image']}"
    return made


def certificate_folder(name, host):
    """Each service has a folder of its own, and sees no other."""
    return f"{host['certificates']}/{name}" if host["certificates"] else ""


def network_flows(entries):
    """Who may speak to whom: `{from, to, port}`, as the role app_service takes them."""
    flows = []
    for name, entry in entries.items():
        flows += [
            {"from": other, "to": name, "port": port_of(entry)}
            for other in entry.get("accepts", [])
        ]
        flows += [
            {"from": name, "to": other, "port": port_of(entries[other])}
            if other in entries
            else {"from": name, **flow_out(other)}
            for other in entry.get("connects_to", [])
        ]
    return flows


def port_of(entry):
    """The port that a pod listens on."""
    return urlsplit(entry.get("ready", f"http://{POD_ADDRESS}")).port


def flow_out(address):
    """Where an address is that a service is told.

    A policy cannot hold a host name: a service that is told one may reach that port anywhere.
    """
    url = urlsplit(address)
    if not url.scheme:
        raise ValueError(f"{address} is neither a service of this host nor an address")
    try:
        end = str(ipaddress.ip_network(url.hostname))
    except ValueError:
        end = "anywhere"
    return {"to": end, "port": url.port or USUAL_PORTS[url.scheme]}


class FilterModule:
    def filters(self):
        return {"fleet_plan": fleet_plan}
