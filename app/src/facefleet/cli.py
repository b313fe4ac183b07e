"""The one command: `facefleet SERVICE` and `facefleet TOOL`."""

import importlib
import sys
from typing import Annotated

import typer

from facefleet import settings as settings_module
from facefleet import telemetry
from facefleet.errors import FacefleetError, SettingsError

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


def _service(name: str, settings_name: str, summary: str) -> None:
    """Add a command that runs services/<name>.py with its settings until SIGTERM."""

    def command() -> None:
        settings = settings_module.load(getattr(settings_module, settings_name))
        telemetry.configure_logging(name, settings.log_level)
        importlib.import_module(f"facefleet.services.{name}").run(settings)

    app.command(name, help=f"{summary} Configured by FACEFLEET_* variables.")(command)


_service("detector", "DetectorSettings", "Find faces in a camera's frames and send them.")
_service("logger", "LoggerSettings", "Write a line for every face, receipt and status.")
_service("forwarder", "ForwarderSettings", "Carry faces to the cloud and receipts back.")
_service("processor", "ProcessorSettings", "Store faces in the bucket and confirm them.")
_service("gallery", "GallerySettings", "Show the faces in the bucket on a page.")


@app.command()
def status(
    expect: Annotated[
        str, typer.Option(help="Cameras to wait for: device/camera, separated by commas.")
    ] = "",
    seconds: Annotated[float, typer.Option(help="How long to wait for them.")] = 30,
) -> None:
    """Print one row a camera, from the cloud's broker (FACEFLEET_BROKER)."""
    from facefleet.tools.status import print_table

    settings = settings_module.load(settings_module.StatusSettings)
    print_table(settings, [camera for camera in expect.split(",") if camera], seconds)


@app.command()
def verify(
    timeout: Annotated[float, typer.Option(help="Seconds until a hop counts as not passed.")] = 30,
) -> None:
    """Send a probe face through a device, and wait until the bucket has it."""
    from facefleet.tools.verify import send_probe

    send_probe(settings_module.load(settings_module.VerifySettings), timeout)


def main() -> None:
    """Entry point. Exit code 2 for bad settings, 1 for another error told as a sentence."""
    try:
        app()
    except SettingsError as error:
        print(f"facefleet: {error}".replace("\n", "\nfacefleet: "), file=sys.stderr)
        raise SystemExit(2) from None
    except FacefleetError as error:
        print(f"facefleet: {error}", file=sys.stderr)
        raise SystemExit(1) from None
