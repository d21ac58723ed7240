"""What tests of deployments share."""

import importlib
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from tests.deploy.certificates import Certificates, make_certificates

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RETRAIN = DEPLOY / "kubernetes" / "base" / "retrain"


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def launcher(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program that launches DaskJobs, as a module, with a reader of YAML that is quick."""
    monkeypatch.setattr(yaml, "safe_load", partial(yaml.load, Loader=yaml.CSafeLoader))
    monkeypatch.syspath_prepend(str(RETRAIN))
    return importlib.import_module("launch")
