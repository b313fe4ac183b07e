"""The plan of a host: its services, and the images, certificates and flows that they need.

Each kind of service is described in one file, `roles/facefleet/templates/services/KIND.yml.j2`. It
contains entries by service name, with these keys:

runs_on: the groups of hosts that run the service.
starts_after: the kinds that must be started before.
command, config_files, environment, secret_environment, state_dir, read_only_paths, devices: see
    the role app_service.
image: the target of app/Dockerfile.
port: the port of a process on 127.0.0.1; port_variable: the variable to change it with. Or
    port_offset: its distance from the device's first port. A pod listens on 8080. The service gets
    the address as FACEFLEET_HTTP, and serves its readiness there. Without a port: `ready_url`.
certificate: name, usage and addresses. The service gets its folder as FACEFLEET_TLS.
    reload_certificate: whether the service reloads it at SIGHUP.
connects_to: services of the same host, and addresses. accepts_from: other clients that may connect.
kubernetes: settings that only apply to Kubernetes.
overrides: environment and resources that take precedence over those that the inventory sets for the
    whole kind (overrides.py).
"""

import ipaddress
from graphlib import TopologicalSorter
from urllib.parse import urlsplit

POD_ADDRESS = "0.0.0.0:8080"
USUAL_PORTS = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322}
PASSED_ON = (
    *("command", "config_files", "environment", "secret_environment", "state_dir"),
    *("read_only_paths", "devices", "ready_url", "port_variable"),
)


def fleet_plan(kinds, host):
    """Plan the services of a host, in firing order, and what they need.

    `kinds`: entries by kind. `host`: group, runtime, first port of the processes, folder of the
    certificates (empty without TLS), and the hash of the app.
    """
    chosen = in_firing_order(kinds)
    here = {name: entry for name, entry in chosen.items() if host["group"] in entry["runs_on"]}
    check_port_offsets(here)
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
    """Return entries by name, in firing order. Raises graphlib.CycleError."""
    waits_for = {
        kind: [first for entry in entries.values() for first in entry.get("starts_after", [])]
        for kind, entries in kinds.items()
    }
    order = TopologicalSorter(waits_for).static_order()
    return {name: entry for kind in order for name, entry in kinds.get(kind, {}).items()}


def check_port_offsets(entries):
    """Raise ValueError if two services of a host have the same port offset."""
    taken = {}
    for name, entry in entries.items():
        other = taken.setdefault(entry.get("port_offset", name), name)
        if other != name:
            raise ValueError(f"{other} and {name} have the same port_offset: give each its own")


def service(name, entry, host):
    """Convert an entry to a service of the role app_service."""
    pod = host["runtime"] == "k3s"
    made = {key: entry[key] for key in PASSED_ON if key in entry}
    made["environment"] = dict(entry.get("environment", {}))
    made["read_only_paths"] = list(entry.get("read_only_paths", []))
    if "port" in entry or "port_offset" in entry:
        offset = entry.get("port_offset", 0)
        port = entry.get("port", host["first_port"] + offset)
        address = POD_ADDRESS if pod else f"127.0.0.1:{port}"
        made["environment"]["FACEFLEET_HTTP"] = address
        made["ready_url"] = f"http://{address}/readyz"
        made.setdefault("port_variable", "facefleet_base_port")
        if not pod:  # a pod's image name already depends on its content
            made["content_hash"] = host["content_hash"]
    if "certificate" in entry:
        folder = certificate_folder(name, host)
        made["read_only_paths"] += [folder] if folder else []
        if entry["certificate"]["usage"] == "clientAuth":
            made["environment"]["FACEFLEET_TLS"] = folder
        if entry.get("reload_certificate"):
            made["reload_on_change"] = folder
    if pod:
        made["kubernetes"] = entry.get("kubernetes", {})
        if "image" in entry:
            made["image"] = f"facefleet-{entry['image']}"
    return made


def certificate_folder(name, host):
    """Return the folder of a service's certificate, which no other service can read."""
    return f"{host['certificates']}/{name}" if host["certificates"] else ""


def network_flows(entries):
    """Return the allowed connections as `{from, to, port}`, as the role app_service expects."""
    flows = []
    for name, entry in entries.items():
        flows += [
            {"from": other, "to": name, "port": port_of(entry)}
            for other in entry.get("accepts_from", [])
        ]
        flows += [
            {"from": name, "to": other, "port": port_of(entries[other])}
            if other in entries
            else {"from": name, **flow_out(other)}
            for other in entry.get("connects_to", [])
        ]
    return flows


def port_of(entry):
    """Return the port that a pod listens on."""
    return urlsplit(entry.get("ready_url", f"http://{POD_ADDRESS}")).port


def flow_out(address):
    """Return the destination of an address that a service connects to.

    Network policies do not support host names: for a host name, the port is allowed anywhere.
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
