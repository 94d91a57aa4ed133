"""MLflow's tracking server and model registry."""

from dev.servers.packages import PythonPackage

PACKAGE = PythonPackage("mlflow", "3.17.2")
