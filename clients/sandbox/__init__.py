"""A faithful local Cohere to develop against: deterministic answers, its own bill, faults on demand."""

from clients.sandbox.app import Sandbox, serve_forever
from clients.sandbox.faults import Fault
from clients.sandbox.keys import Key, KeyState

__all__ = ["Fault", "Key", "KeyState", "Sandbox", "serve_forever"]
