"""An app that only the newer of two deployments has."""
