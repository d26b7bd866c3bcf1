import pytest

from deepinit.cli import main


@pytest.fixture
def refused(capsys):
    """Runs the command and returns its message, after checking what every refusal must be."""

    def run(code, *arguments):
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        message = [
            line
            for line in capsys.readouterr().err.splitlines()
            if line.startswith("deepinit: Got ")
        ]
        assert end.value.code == code
        assert len(message) == 1
        assert "Allowed: " in message[0]
        assert message[0][-1] in ".?"
        return message[0]

    return run
