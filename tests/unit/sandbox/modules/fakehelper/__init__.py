"""A package beside the module; its name contains the module's, so that a reload drops what it imports."""

import json

JSON = id(json)


class HelperError(Exception):
    """What procedures of the test module raise."""
