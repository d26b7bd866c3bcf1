"""The study's command: run, collect, report."""

import argparse
import pathlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepinit.diagnosis.study.blocks import Blocks


def main(arguments: list[str] | None = None) -> int:
    """Exit code; 75 if stopped: the same command continues."""
    parser = argparse.ArgumentParser(prog="python -m deepinit.diagnosis.study", description=__doc__)
    parser.add_argument("command", choices=("run", "collect", "report"))
    help_out = "folder of the run; its blocks are added to the committed ones"
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("study"), help=help_out)
    given = parser.parse_args(arguments)
    from deepinit.diagnosis.study.blocks import Blocks, lines
    from deepinit.store.canonical import canonical_json

    blocks = Blocks(given.out)
    if given.command == "run":
        return _run(given.out, blocks)
    if given.command == "collect":
        from deepinit.diagnosis.study.model import document

        here = pathlib.Path(__file__).parent
        (here / "results.jsonl").write_text(lines(blocks.known), "ascii")
        (here.parent / "model.json").write_text(canonical_json(document(blocks)) + "\n", "ascii")
        return 0
    from deepinit.diagnosis.study.report import report

    print(report(blocks))  # noqa: T201
    return 0


def _run(folder: pathlib.Path, blocks: "Blocks") -> int:
    import jax

    from deepinit.diagnosis.study.run import run

    jax.config.update("jax_compilation_cache_dir", str(folder.resolve() / "compiled"))
    try:
        run(blocks)
    except KeyboardInterrupt:
        return 75
    return 0


if __name__ == "__main__":
    sys.exit(main())
