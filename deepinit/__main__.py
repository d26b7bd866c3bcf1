"""`python -m deepinit` is the `deepinit` command."""

from deepinit import startup


def command() -> None:
    """The console script: `main` in its own process, with all cores for JAX."""
    startup.begin()
    code = 1
    try:
        from deepinit.cli import main
        from deepinit.devices import use_all_cores

        use_all_cores()
        main()
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except MemoryError:
        code = 5
        startup.say("out of memory")
    except ImportError as error:
        if not startup.is_out_of_memory(error):
            raise
        code = 5
        startup.say(f"out of memory ({error})")
    startup.end(code)


if __name__ == "__main__":
    command()
