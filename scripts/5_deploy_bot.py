"""Step 5: make a trained model the bot's.

    python scripts/5_deploy_bot.py [--env PATH] [--model NAME] [--quant Q4_K_M]
    python scripts/5_deploy_bot.py --list
    python scripts/5_deploy_bot.py --rollback

Loads the model and has it answer before anything changes. The bot takes it at its next start.
"""

import argparse
import asyncio
import sqlite3
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bot import config, logs
from bot.config import Config, UserError
from model import export, prompts, runs
from model.inference import Engine, EngineError, Sampling
from model.prompts import Turn
from storage import database

QUESTIONS = (
    [Turn("sam", "hey, how is everybody doing today?")],
    [Turn("kim", "anyone around?"), Turn("sam", "what are you all up to this weekend")],
    [Turn(None, "just got home"), Turn("kim", "nice, what's for dinner?")],
)


def main() -> int:
    arguments = _arguments()
    try:
        settings = config.load(arguments.env, needs_discord=False)
        connection = database.connect(settings.database_path)
        if arguments.list:
            _list(settings, connection)
        elif arguments.rollback:
            _rollback(settings, connection)
        else:
            _deploy(settings, connection, arguments.model, arguments.quant)
    except UserError as error:
        return config.exit_with(error)
    except KeyboardInterrupt:
        print("\nStopped. The bot keeps the model it had.")
        return 130
    return 0


def _deploy(settings: Config, connection: sqlite3.Connection, name: str | None, quant: str) -> None:
    run = runs.find(settings.models_dir, name)
    exported = export.export(run, settings.models_dir, quant)
    asyncio.run(_try_out(settings, exported.path))
    with database.transaction(connection):
        database.add_model(connection, export.row(exported))
        database.deploy(connection, exported.name)
    print(f"Deployed {exported.name} ({quant}). The bot takes it at its next start.")
    _warn_of_model_path(settings)


async def _try_out(settings: Config, path: Path) -> None:
    """Raise `UserError` unless the model loads and answers, in a worker like the bot's."""
    engine = Engine(
        path,
        context_length=settings.context_length,
        threads=settings.threads,
        gpu_layers=settings.gpu_layers,
    )
    try:
        await engine.start()
        for done, turns in enumerate(logs.track("try out", QUESTIONS, len(QUESTIONS))):
            if not await _answer(engine, turns, seed=done):
                raise UserError(
                    f"The model {path.name} has nothing to say to {turns[-1].text!r}, so it is "
                    "not deployed. Train it longer, or on more data, with scripts/3_train_model.py."
                )
    except EngineError as error:
        raise UserError(f"The model {path.name} fails: {error}. It is not deployed.") from None
    finally:
        await engine.close()


async def _answer(engine: Engine, turns: list[Turn], seed: int, attempts: int = 5) -> str:
    """A reply; an empty one is drawn again, since chat models sometimes choose silence."""
    for attempt in range(attempts):
        sampling = Sampling(max_tokens=60, seed=seed + 100 * attempt)
        pieces = [piece async for piece in engine.reply(prompts.build(turns), sampling, 0)]
        if text := prompts.clean("".join(pieces)):
            return text
    return ""


def _list(settings: Config, connection: sqlite3.Connection) -> None:
    deployed = database.deployed_model(connection)
    known = database.models(connection)
    if not known:
        print("No model yet. Run scripts/3_train_model.py, then scripts/5_deploy_bot.py.")
        return
    print(f"  {'name':<42} {'base':<28} {'bits/char':>9}")
    for model in known:
        mark = "*" if deployed and model.name == deployed.name else " "
        bits = model.metrics.get("bits_per_char")
        figure = f"{bits:.3f}" if bits is not None else "-"
        print(f"{mark} {model.name:<42} {model.base:<28} {figure:>9}")
    print("* deployed" if deployed else "None is deployed: the bot runs its base model.")
    _warn_of_model_path(settings)


def _rollback(settings: Config, connection: sqlite3.Connection) -> None:
    before = database.deployed_model(connection)
    if before is None:
        raise UserError("Nothing is deployed, so there is nothing to take back.")
    now = database.rollback(connection)
    print(f"Took {before.name} back. The bot runs {now or 'its base model'} from its next start.")
    _warn_of_model_path(settings)


def _warn_of_model_path(settings: Config) -> None:
    if settings.model_path:
        print(
            f"Note: MODEL_PATH in {settings.env_path} names another model, and it wins. "
            "Remove that line to run the deployed one."
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", type=Path, help="the settings file (default: .env)")
    parser.add_argument("--model", help="which trained model (default: the newest)")
    parser.add_argument("--quant", choices=export.QUANTS, default="Q4_K_M")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="show every model")
    what.add_argument("--rollback", action="store_true", help="go back to the model before")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
