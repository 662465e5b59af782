"""The wheel, built and used as somebody does who never saw the repository."""

import site
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_wheel_works_in_an_empty_folder(tmp_path):
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path / "dist", ROOT]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env/bin/python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", wheel], check=True, capture_output=True)
    # The dependencies of this environment (7 GB) are lent; a plain path brings no editable install along.
    (installed,) = (tmp_path / "env").glob("lib/*/site-packages")
    (installed / "lent.pth").write_text(site.getsitepackages()[0])
    empty = tmp_path / "empty"
    empty.mkdir()

    def run(*arguments):
        command = [tmp_path / "env/bin/avsr-bench", *arguments]
        return subprocess.run(command, cwd=empty, capture_output=True, text=True, check=True).stdout

    where = [python, "-c", "import avsr_bench; print(avsr_bench.__file__)"]
    assert str(installed) in subprocess.run(where, cwd=empty, capture_output=True, text=True, check=True).stdout
    assert "grid" in run("list")
    assert "copied" not in run("list", "--copy", "grid")
    assert (empty / "pipelines/grid.yaml").read_text() == (ROOT / "pipelines/grid.yaml").read_text()
