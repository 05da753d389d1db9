"""What the commands agree on: where Cohort, its metrics and the sandbox listen, and where the demo keeps its files."""

from pathlib import Path

LISTEN, METRICS_LISTEN, SANDBOX_LISTEN = "127.0.0.1:50051", "127.0.0.1:9464", "127.0.0.1:9465"
DEMO_FOLDER = Path(".cohort")
ACCESS_KEY_FILE = "access_key"
CHAT_MODEL, EMBED_MODEL, RERANK_MODEL = "command-a-03-2025", "embed-v4.0", "rerank-v3.5"
