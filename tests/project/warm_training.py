"""`tenken-train` in a process that stays, for tests that call it often: its libraries take seconds to load.

warm_training.py SOCKET serves until it is ended; warm_training.py SOCKET WORDS... has it run a command.
"""

from __future__ import annotations

import os
import sys
from multiprocessing.connection import Client, Listener


def serve(path: str) -> None:
    """Run the commands that come, one after the other, each in its caller's folder and environment."""
    with Listener(path) as listener:
        print("listening", flush=True)
        while True:
            with listener.accept() as caller:
                words, folder, environment = caller.recv()
                os.chdir(folder)
                os.environ.clear()
                os.environ.update(environment)
                caller.send(_run(words))


def _run(words: list[str]) -> tuple[int, str]:
    import io
    import traceback
    from contextlib import redirect_stderr, redirect_stdout

    from training.__main__ import main

    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        try:
            code = int(main(words))
        except SystemExit as ended:  # by argparse
            code = int(ended.code or 0)
        except Exception:  # noqa: BLE001 - whoever called is told, and the next one served
            traceback.print_exc()
            code = 1
    return code, said.getvalue()


def ask(path: str, words: list[str]) -> int:
    """Have a command run, print what it says and return its exit code."""
    with Client(path) as server:
        server.send((words, os.getcwd(), dict(os.environ)))
        code, said = server.recv()
    sys.stdout.write(said)
    return int(code)


if __name__ == "__main__":
    if len(sys.argv) == 2:
        serve(sys.argv[1])
    else:
        sys.exit(ask(sys.argv[1], sys.argv[2:]))
