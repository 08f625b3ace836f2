"""How long a function takes from being started to asking for its first invocation.

A stub of the Lambda runtime API listens; a program is started with its address; the clock stops when the whole first
request is there. Nothing is answered, and the program is ended.
"""

import functools
import json
import os
import re
import socket
import subprocess
import time
from pathlib import Path

NEXT = b"GET /2018-06-01/runtime/invocation/next "
# what functions want to be set; none of it is used before the first invocation
VARIABLES = {
    "S3_BUCKET_NAME": "export",
    "AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_REGION": "eu-central-1",
    "AWS_LAMBDA_FUNCTION_NAME": "bench", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST", "AWS_LAMBDA_LOG_GROUP_NAME": "none",
    "AWS_LAMBDA_LOG_STREAM_NAME": "none",
    "DATA_BUCKET": "bench", "STATE_TABLE": "bench", "ORG_ID": "bench", "PUBLIC_KEY": "none", "PRIVATE_KEY": "none",
    "CCX_API_URL": "https://ccx.example.com", "CCX_USER": "none", "CCX_PASSWORD": "none",
    "PROMETHEUS_URL": "https://prometheus.example.com",
    "AWS_BILLING_ACCOUNT": "111122223333", "AWS_EXPORT_BUCKET": "none", "AWS_EXPORT_NAME": "none",
    "AZURE_TENANT_ID": "none", "AZURE_CLIENT_ID": "none", "AZURE_CLIENT_SECRET": "none", "AZURE_SCOPE": "subscriptions/none",
    "GCP_BILLING_TABLE": "none.none.gcp_billing_export_v1_012345_567890_ABCDEF", "GCP_LOCATION": "EU",
    "OIDC_ISSUER": "https://issuer.example.com", "OIDC_AUDIENCE": "bench",
}


@functools.cache
def service_account():
    """The key file of nobody, with a key made now."""
    key = subprocess.run(["openssl", "genpkey", "-algorithm", "RSA"], check=True, capture_output=True, text=True).stdout
    return json.dumps({"type": "service_account", "client_email": "bench@example.iam.gserviceaccount.com", "private_key_id": "1",
                       "private_key": key, "token_uri": "https://oauth2.example.com/token"})


def start(program):
    """Starts it once: wall clock and CPU in milliseconds, resident memory in MB at the first request."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        port = server.getsockname()[1]
        environment = VARIABLES | {"AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{port}", "GCP_SERVICE_ACCOUNT_KEY": service_account()}
        before = time.perf_counter_ns()
        process = subprocess.Popen([program], env=environment, close_fds=False, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            connection = server.accept()[0]
            with connection:
                request = b""
                while b"\r\n\r\n" not in request:
                    part = connection.recv(4096)
                    if not part:
                        raise SystemExit(f"{program} hung up: {process.stderr.read()}")
                    request += part
                wall = time.perf_counter_ns() - before
                if not request.startswith(NEXT):
                    raise SystemExit(f"{program} asked for something else: {request[:80]}")
                time.sleep(0.002)  # it is waiting now: its times are up to date
                return {"wall_ms": wall / 1e6, **cost(process.pid)}
        finally:
            process.kill()
            said = process.stderr.read()
            process.stderr.close()
            process.wait()
            if b"cannot start" in said:
                raise SystemExit(f"{program}: {said.decode()}")


def cost(pid):
    tasks = [Path(task.path, "schedstat").read_text().split() for task in os.scandir(f"/proc/{pid}/task")]
    status = Path(f"/proc/{pid}/status").read_text()
    memory = {name: int(re.search(rf"{name}:\s*(\d+) kB", status)[1]) * 1024 / 1e6 for name in ("VmRSS", "VmHWM")}
    return {"cpu_ms": sum(int(task[0]) for task in tasks) / 1e6, "threads": len(tasks),
            "rss_mb": memory["VmRSS"], "peak_mb": memory["VmHWM"]}


def compile_yardstick(source, program):
    subprocess.run(["gcc", "-O2", "-static", "-s", "-o", program, source], check=True)
