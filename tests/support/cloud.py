"""The cloud's broker as the role configures it, with certificates of an authority."""

import signal
from pathlib import Path

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from support.authority import Authority
from support.rig import ROOT, Process, Rig, await_true, free_port, listens

_ROLES = ROOT / "roles"
_NAMES = yaml.safe_load((_ROLES / "facefleet/vars/main/pki.yml").read_text())
PROCESSOR, GALLERY, OPERATOR = (
    _NAMES[f"facefleet_{name}"] for name in ("processor", "gallery", "operator")
)
# As Ansible has it.
_templates = Environment(
    loader=FileSystemLoader(_ROLES / "facefleet/templates/broker"),
    undefined=StrictUndefined,
    trim_blocks=True,
    keep_trailing_newline=True,
)


class Cloud:
    """A Mosquitto that asks for certificates, and the folders of those that have one."""

    def __init__(
        self, rig: Rig, authority: Authority, name: str = "cloud", address: str = "127.0.0.1"
    ) -> None:
        self.folder = rig.folder / name
        self.port = free_port()
        self.url = f"mqtts://{address}:{self.port}"
        authority.issue(self.folder, "broker.facefleet", usage="server", address=address)
        (self.folder / "crl.pem").write_bytes(authority.revoke())
        self.deny()
        config = rig.folder / f"{name}.conf"
        config.write_text(
            _templates.get_template("mosquitto.conf.j2").render(
                facefleet_broker_port=self.port,
                facefleet_broker_tls=str(self.folder),
                __facefleet_broker_address=address,
            )
        )
        self.process = Process(name, [rig.program("mosquitto"), "-c", str(config)], rig.folder)
        rig.processes.append(self.process.start())
        await_true(lambda: listens(self.port, address), f"{name} listens")

    def deny(self, *names: str) -> None:
        """Write the rules, in which these may do nothing."""
        (self.folder / "acl").write_text(
            _templates.get_template("acl.j2").render(
                facefleet_processor=PROCESSOR,
                facefleet_gallery=GALLERY,
                facefleet_operator=OPERATOR,
                facefleet_revoked_names=names,
            )
        )

    def reread(self) -> None:
        self.process.signal(signal.SIGHUP)

    def connections(self, device: str) -> int:
        """How often a device's forwarder has connected."""
        return self.process.log.read_text().count(f" as {device} ")


def certificate(folder: Path, authority: Authority, name: str) -> Path:
    """A client's folder."""
    authority.issue(folder, name)
    return folder
