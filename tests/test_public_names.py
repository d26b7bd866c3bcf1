import importlib
import pkgutil
import types

import pytest

import deepinit as di


def test_public_names_are_what_they_say_even_after_every_module_is_loaded():
    for module in pkgutil.walk_packages(di.__path__, "deepinit."):
        if module.name != "deepinit.__main__":
            importlib.import_module(module.name)
    kinds = {
        "curves": types.ModuleType,
        "diffusions": types.ModuleType,
        "frames": types.ModuleType,
        "inference": types.ModuleType,
        "init": types.ModuleType,
        "inputs": types.ModuleType,
        "layers": types.ModuleType,
        "plots": types.ModuleType,
        "quantities": types.ModuleType,
        "targets": types.ModuleType,
        "theory": types.ModuleType,
        "training": types.ModuleType,
        "zoo": types.ModuleType,
    }
    for name in di.__all__:
        value = getattr(di, name)
        expected = kinds.get(name)
        assert isinstance(value, types.ModuleType) == (expected is not None), name
        if callable(value) and not isinstance(value, type):
            assert value.__doc__, name


@pytest.mark.slow
def test_the_ten_lines_of_the_readme(tmp_path, monkeypatch, capsys):
    readme = next(
        path for path in (tmp_path.__class__(__file__).parents[1] / "README.md",) if path.exists()
    ).read_text()
    code = readme.split("```python\n")[1].split("```")[0]
    assert "num_seeds=5_000" in code
    assert "widths=(256,) * 32" in code
    monkeypatch.chdir(tmp_path)
    exec(compile(code.replace("num_seeds=5_000", "num_seeds=500"), "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "tapered" in printed
    assert "infinite_width" in printed
    assert (tmp_path / "angles.png").stat().st_size > 10_000
