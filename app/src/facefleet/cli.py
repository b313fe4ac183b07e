"""The command line: `facefleet SERVICE` and `facefleet TOOL`."""

import importlib
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from facefleet import settings as settings_module
from facefleet.errors import FacefleetError, SettingsError
from facefleet.logging import configure_logging
from facefleet.runtime import exit_on_signal

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(requested: bool) -> None:
    if requested:
        print(f"facefleet {version('facefleet')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print version."),
    ] = False,
) -> None:
    """Deliver the faces that a fleet of cameras sees to a bucket."""


def _service(name: str, settings_name: str, summary: str) -> None:
    """Add a command that runs a service's module with its settings until SIGTERM."""

    def command() -> None:
        exit_on_signal()
        settings = settings_module.load(getattr(settings_module, settings_name))
        configure_logging(name, settings.log_level)
        module = name.replace("-", "_")
        importlib.import_module(f"facefleet.services.{module}").run(settings)

    summary += " Configured by FACEFLEET_* variables: docs/settings.md."
    app.command(name, help=summary)(command)


_service("detector", "DetectorSettings", "Detect faces in a camera's frames and send them.")
_service("logger", "LoggerSettings", "Log every face, receipt and status.")
_service("forwarder", "ForwarderSettings", "Forward faces to the cloud and receipts back.")
_service("processor", "ProcessorSettings", "Store faces in the bucket and confirm them.")
_service("gallery", "GallerySettings", "Show the faces in the bucket on a web page.")
_service("device-plugin", "DevicePluginSettings", "Give pods their cameras (a kubelet plugin).")


@app.command()
def status(
    expect: Annotated[
        str, typer.Option(help="Cameras to wait for, as device/camera, separated by commas.")
    ] = "",
    seconds: Annotated[float, typer.Option(help="Seconds to wait for these cameras.")] = 30,
) -> None:
    """Print one row per camera, as reported to the cloud broker (FACEFLEET_BROKER)."""
    from facefleet.tools.status import print_table

    settings = settings_module.load(settings_module.StatusSettings)
    print_table(settings, [camera for camera in expect.split(",") if camera], seconds)


@app.command()
def devices(
    desired: Annotated[
        Path | None,
        typer.Option(help="JSON file with what each device should run; - for stdin."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print one row per device, and what is wrong, by a processor (FACEFLEET_PROCESSOR)."""
    from facefleet.tools.devices import print_devices

    settings = settings_module.load(settings_module.DevicesSettings)
    print_devices(settings, desired, as_json=as_json)


@app.command()
def verify(
    timeout: Annotated[float, typer.Option(help="Seconds to wait for each hop.")] = 30,
) -> None:
    """Send a probe face through a device and wait until it is in the bucket."""
    from facefleet.tools.verify import send_probe

    send_probe(settings_module.load(settings_module.VerifySettings), timeout)


@app.command()
def audit(
    outboxes: Annotated[list[Path], typer.Argument(help="Outbox files of the detectors.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    other_epochs: Annotated[
        bool, typer.Option("--other-epochs", help="Accept objects of outboxes that are not listed.")
    ] = False,
) -> None:
    """Compare outboxes with the bucket (FACEFLEET_BUCKET); exit 0 only if all of them balance."""
    from facefleet.tools.audit import print_audit

    settings = settings_module.load(settings_module.AuditSettings)
    print_audit(settings, outboxes, as_json=as_json, other_epochs=other_epochs)


@app.command()
def erase(
    device: Annotated[str | None, typer.Option(help="Only faces from this device.")] = None,
    day: Annotated[
        str | None, typer.Option(help="Only faces of this day (UTC), such as 2026-02-28.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Delete. Without this option, only print the plan.")
    ] = False,
) -> None:
    """Erase all versions of a device's or a day's faces from the bucket (FACEFLEET_BUCKET)."""
    from facefleet.auditing.erasure_records import Scope
    from facefleet.tools.erase import erase as erase_scope

    settings = settings_module.load(settings_module.EraseSettings)
    erase_scope(settings, Scope.read(device, day), really=yes)


outbox = typer.Typer(no_args_is_help=True, help="Inspect an outbox and handle its dead letters.")
app.add_typer(outbox, name="outbox")
OutboxFile = Annotated[Path, typer.Argument(help="The outbox file of a detector.")]
Seqs = Annotated[
    list[int] | None, typer.Option("--seq", help="Number of a dead letter; may be repeated.")
]


@outbox.command("list")
def outbox_list(path: OutboxFile) -> None:
    """Print an outbox's counts, evictions and dead letters."""
    from facefleet.tools.outbox import print_outbox

    print_outbox(path)


@outbox.command("retry")
def outbox_retry(path: OutboxFile, seq: Seqs = None) -> None:
    """Resend dead letters: all of them, or those given by --seq."""
    from facefleet.tools.outbox import retry

    retry(path, seq or [])


@outbox.command("drop")
def outbox_drop(
    path: OutboxFile,
    seq: Seqs = None,
    every: Annotated[bool, typer.Option("--all", help="Delete every dead letter.")] = False,
) -> None:
    """Delete dead letters permanently."""
    from facefleet.tools.outbox import drop

    if bool(seq) == every:
        raise FacefleetError("no dead letters selected: pass either --seq or --all")
    drop(path, seq or [])


def main() -> None:
    """Run the command. Exit with 2 for bad settings, with 1 for any other reported error."""
    try:
        app()
    except SettingsError as error:
        print(f"facefleet: {error}".replace("\n", "\nfacefleet: "), file=sys.stderr)
        raise SystemExit(2) from None
    except FacefleetError as error:
        print(f"facefleet: {error}", file=sys.stderr)
        raise SystemExit(1) from None
