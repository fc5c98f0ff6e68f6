"""The version of the package, as a text."""

VERSION = "0.1.0"
