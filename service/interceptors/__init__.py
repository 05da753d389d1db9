"""What surrounds every call: errors, telemetry, audit, identity. `service.server` holds their order and its reason."""
