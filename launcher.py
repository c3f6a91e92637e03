"""The desktop application: the window that starts, watches and stops the bot.

    python3 launcher.py                      the window
    python3 launcher.py --headless           the bot without a window, until Ctrl-C
    python3 launcher.py --demo               try it: no token, no Discord, a sample community
    python3 launcher.py --demo --headless    the same in the terminal; it ends by itself
    ... --demo --train [--max-steps N]       fine-tune the model on the community first
    python3 launcher.py --minimized          the window waits in the tray, as at login
    python3 launcher.py --doctor             looks this computer and the settings over

The first run makes `.venv` and installs what is needed there.
"""

import argparse
import dataclasses
import os
import sys
from pathlib import Path

import bootstrap

DEMO_STEPS = 60


def main() -> int:
    arguments = _arguments()
    is_headless = arguments.headless or arguments.doctor or not _has_display()
    bootstrap.require(window=not is_headless)
    files = ["requirements.txt", *["requirements-train.txt"] * arguments.train]
    bootstrap.reexec(bootstrap.ensure(*files), sys.argv)
    return _run(arguments, is_headless)


def _run(arguments: argparse.Namespace, is_headless: bool) -> int:
    """What happens inside `.venv`."""
    if arguments.doctor:
        import doctor

        return doctor.main(["--env", str(arguments.env)] if arguments.env else [])
    if is_headless:
        import terminal

        if arguments.demo:
            return terminal.demo(arguments.max_steps if arguments.train else 0)
        return terminal.supervise(arguments.env)
    import single_instance
    from bot import config

    try:
        return _window(arguments)
    except single_instance.AlreadyRunning as other:
        print(other)
        return 0
    except config.UserError as error:
        return config.exit_with(error)


def _window(arguments: argparse.Namespace) -> int:
    """The window, or a call to the one that is open already (`AlreadyRunning`)."""
    import single_instance
    from bot import config
    from gui import app, preferences
    from gui.session import Report, Session, Way, session
    from sandbox.demo import Demo

    folder = config.data_dir(arguments.env)  # of what the launcher itself remembers
    if arguments.demo:
        folder = config.ROOT / "data_storage" / "demo-window"  # the demo's own is made anew
    instance = single_instance.acquire(folder, "the window")

    def own(starts_at_once: bool) -> Way:
        def prepare(report: Report) -> Session:
            return dataclasses.replace(session(arguments.env), starts_at_once=starts_at_once)

        return Way(prepare)

    demo = Demo(max_steps=arguments.max_steps if arguments.train else 0)
    show = Way(demo.prepare, demo.steps)
    if arguments.demo:
        return app.run(app.Start(show, folder, arguments.env, instance))
    liked = preferences.read(folder)
    start = app.Start(
        own(liked.starts_bot),
        folder,
        arguments.env,
        instance,
        is_minimised=arguments.minimized,
        is_first=not liked.is_set_up and not config.works(arguments.env),
        way_of=lambda outcome: show if outcome.kind == "demo" else own(True),
    )
    return app.run(start)


def _has_display() -> bool:
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--demo", action="store_true", help="a sample community, no token needed")
    parser.add_argument("--headless", action="store_true", help="no window, only the terminal")
    parser.add_argument("--train", action="store_true", help="with --demo: fine-tune first")
    parser.add_argument(
        "--max-steps", type=int, default=DEMO_STEPS, help="training steps (default: %(default)s)"
    )
    parser.add_argument("--minimized", action="store_true", help="begin in the tray")
    parser.add_argument("--doctor", action="store_true", help="see whether all is well")
    parser.add_argument("--env", type=Path, help="the settings file (default: .env)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
