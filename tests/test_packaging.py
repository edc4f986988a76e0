"""An editable install puts the checkout on the path, where a mere folder of a package's name does not hide it."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("setuptools", minversion="80")
ROOT = Path(__file__).parents[1]
PACKAGES = ("corpus", "annotators", "filters", "trainers", "evaluators", "onethinker")


def test_an_editable_install_is_a_path_file_and_not_an_import_hook(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, project / name)
    for name in PACKAGES:
        (project / name).mkdir()
        (project / name / "__init__.py").touch()
    build = "import sys; from setuptools import build_meta; print(build_meta.build_editable(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", build, str(tmp_path)], cwd=project, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    assert [path.read_text().strip() for path in site.glob("*.pth")] == [str(project)]
    assert not list(site.glob("*finder*"))

    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "corpus").mkdir(parents=True)
    use = f"import site; site.addsitedir({str(site)!r}); import corpus; print(corpus.__file__)"
    found = subprocess.run([sys.executable, "-S", "-c", use], cwd=elsewhere, capture_output=True, text=True, env={})
    assert found.stdout.strip() == str(project / "corpus" / "__init__.py"), found.stderr


@pytest.mark.parametrize("name", PACKAGES)
def test_every_package_is_typed(name: str) -> None:
    assert (ROOT / name / "py.typed").is_file()
