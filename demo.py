"""`make run`: the whole way on handwritten digits, each step a command that you can type.

Fine-tune -> MLflow -> SavedModel -> server -> one HTTP and one gRPC prediction. No network, no
GPU, no account: scikit-learn carries the pictures, the package its backbone.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

from tl.config import DataConfig
from tl.data.inspect import cache_folder
from tl.data.prepare import prepare_data

TL = str(Path(sys.executable).with_name("tl"))
GREEN, BOLD, PLAIN = ("\033[32m", "\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "", "")


def main() -> int:
    """Run the steps; the exit code is the first failing one's."""
    began = time.perf_counter()
    title("1. Fine-tune the shipped backbone on 1,797 handwritten digits, and export it")
    words = "finetune --dataset digits --backbone tl_small --image-size 64 --epochs 5"
    if code := run(*words.split()):
        return code
    picture, digit = write_test_picture(Path("runs/demo"))
    title("2. Serve it, with TensorFlow Serving's protocol")
    server, rest, grpc = start_server("models/digits")
    try:
        title(f"3. Ask over HTTP, with a test picture of a {digit}")
        show_curl(rest)
        if code := run("predict", f"{rest}/digits", str(picture)):
            return code
        title("4. Ask over gRPC")
        if code := run("predict", f"grpc://{grpc}/digits", str(picture)):
            return code
    finally:
        stop(server)
    title(f"Done in {time.perf_counter() - began:.0f} s. What next:")
    tl = ".venv/bin/tl"
    for words, what in (
        (f"{tl} experiments", "browse this run in MLflow"),
        (f"{tl} serve models/digits", "serve this model on ports 8500 (gRPC) and 8501 (REST)"),
        (f"{tl} finetune --dataset DIR", "your own pictures, one sub-folder a class"),
    ):
        sys.stdout.write(f"  {BOLD}{words:<40}{PLAIN} {what}\n")
    return 0


def title(text: str) -> None:
    """Announce a step."""
    sys.stdout.write(f"\n{GREEN}{text}{PLAIN}\n")
    sys.stdout.flush()


def run(*words: str) -> int:
    """Show a command and run it."""
    sys.stdout.write(f"{BOLD}$ tl {shlex.join(words)}{PLAIN}\n")
    sys.stdout.flush()
    return subprocess.run([TL, *words], check=False).returncode


def write_test_picture(folder: Path) -> tuple[Path, str]:
    """Write one picture of the test split to a file; the model has not seen it."""
    data = prepare_data("digits", DataConfig(), seed=0, cache=cache_folder())
    example = data.side("test")[0]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "test_digit.png"
    path.write_bytes(example.read())
    return path, data.class_names[example.label]


def start_server(model: str) -> tuple[subprocess.Popen[str], str, str]:
    """Start `tl serve` on free ports and wait until it answers."""
    words = ["serve", model, "--port", "0", "--rest-api-port", "0"]
    sys.stdout.write(f"{BOLD}$ tl {shlex.join(words)} &{PLAIN}\n")
    sys.stdout.flush()
    log = Path("runs/demo/server.log").open("w")  # noqa: SIM115 - the server writes to it
    server = subprocess.Popen([TL, *words], stdout=subprocess.PIPE, stderr=log, text=True)
    assert server.stdout is not None
    addresses: dict[str, str] = {}
    for line in server.stdout:
        if found := re.match(r"(REST|gRPC)\s+(\S+)", line):
            sys.stdout.write(line)
            addresses[found[1]] = found[2]
        if len(addresses) == 2:
            return server, addresses["REST"], addresses["gRPC"]
    sys.stderr.write(Path("runs/demo/server.log").read_text())
    raise SystemExit("the server did not start")


def show_curl(rest: str) -> None:
    """Print the same request for any HTTP client."""
    body = json.dumps({"instances": [{"b64": "$(base64 -w0 runs/demo/test_digit.png)"}]})
    escaped = body.replace('"', '\\"')
    sys.stdout.write(f'  curl -d "{escaped}" {rest}/v1/models/digits:predict\n')


def stop(server: subprocess.Popen[str]) -> None:
    """Ask the server to finish what it is answering and end."""
    server.send_signal(signal.SIGTERM)
    try:
        server.wait(timeout=40)
    except subprocess.TimeoutExpired:
        server.kill()


if __name__ == "__main__":
    # Runs, models and the experiment store go to the project's folder, or to the one given.
    os.chdir(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    sys.exit(main())
