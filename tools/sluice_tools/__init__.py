"""The `sluice` command: installation, doctor, shim, and a transform tried at a desk. Runs outside the server."""
