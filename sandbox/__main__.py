"""Start a loopback Discord filled with a sample community.

    python -m sandbox [--community NAME] [--port N] [--hold-out N [--channel NAME]]
                      [--no-rate-limits] [--denied-intents NAME ...] [--shards N]

Prints one JSON line when it is ready (addresses, token, ids) and runs until stdin closes or Ctrl-C.
"""

import argparse
import asyncio
import errno
import json
import sys

from bot.config import UserError, exit_with
from bot.stopping import on_stop_request
from sandbox import community
from sandbox.gateway import PRIVILEGED
from sandbox.server import Sandbox
from sandbox.world import populate


def main() -> int:
    arguments = _arguments()
    try:
        world = populate(community.load(arguments.community, arguments.hold_out, arguments.channel))
        sandbox = Sandbox(
            world,
            port=arguments.port,
            has_rate_limits=not arguments.no_rate_limits,
            denied_intents=tuple(arguments.denied_intents),
            recommended_shards=arguments.shards,
        )
        asyncio.run(_serve(sandbox))
    except UserError as error:
        return exit_with(error)
    except ValueError as error:
        return exit_with(UserError(str(error)))
    except KeyboardInterrupt:
        pass
    return 0


async def _serve(sandbox: Sandbox) -> None:
    if not 0 <= sandbox.port <= 65535:
        raise UserError(f"Port {sandbox.port} does not exist. Choose one up to 65535, or --port 0.")
    try:
        async with sandbox:
            stop = _stop_when_asked()
            print(json.dumps(_described(sandbox)), flush=True)
            await stop.wait()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise UserError(
            f"Port {sandbox.port} is in use. Stop what uses it, or let the system choose: --port 0"
        ) from None


def _described(sandbox: Sandbox) -> dict[str, object]:
    world = sandbox.world
    return {
        "url": sandbox.url,
        "api": sandbox.api,
        "token": world.token,
        "guild_id": str(world.guild_id),
        "bot_id": str(world.bot_id),
        "owner_id": str(world.owner_id),
        "channels": {p.name: str(p.id) for p in world.places.values() if not p.is_thread},
    }


def _stop_when_asked() -> asyncio.Event:
    """Set on SIGINT, SIGTERM, or the end of stdin, which means that our parent is gone."""
    stop = asyncio.Event()
    on_stop_request(stop.set, watch_stdin=True)
    return stop


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--community", default="gitter-casual", help="the sample to fill it with")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument(
        "--hold-out", type=int, default=0, help="newest messages kept back as the future"
    )
    parser.add_argument("--channel", help="whose messages are kept back (default: the biggest's)")
    parser.add_argument("--no-rate-limits", action="store_true", help="answer as fast as possible")
    parser.add_argument(
        "--denied-intents", nargs="*", default=[], choices=sorted(PRIVILEGED), help="refuse these"
    )
    parser.add_argument(
        "--shards", type=int, default=1, help="connections to recommend, as for many servers"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
