"""`python -m deepinit` is the `deepinit` command."""

from deepinit.cli import command

command()
