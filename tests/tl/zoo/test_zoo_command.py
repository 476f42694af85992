import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from tl.cli.zoo import zoo
from tl.zoo.backbones import BACKBONES


def test_json_lists_every_backbone_and_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "mobilenet_2_5_224_tf.h5"
    here.write_bytes(b"weights")
    monkeypatch.setenv("TL_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "empty"))

    rows = json.loads(CliRunner().invoke(zoo, ["--json"], catch_exceptions=False).stdout)

    assert [row["name"] for row in rows] == list(BACKBONES)
    smallest = next(row for row in rows if row["name"] == "mobilenet_0.25")
    assert (smallest["weights_path"], smallest["weights_bytes"]) == (str(here), 7)
    assert smallest["imagenet_files"][0] == "mobilenet_2_5_224_tf_no_top.h5"
    classic = next(row for row in rows if row["name"] == "resnet18")
    assert (classic["imagenet_files"], classic["imagenet_url"]) == ([], None)


def test_table_has_a_line_for_every_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TL_WEIGHTS_DIR", raising=False)

    lines = CliRunner().invoke(zoo, [], catch_exceptions=False).stdout.splitlines()

    assert all(any(line.split()[:1] == [name] for line in lines) for name in BACKBONES)
    classics = [line for line in lines if line.split()[:1] in (["alexnet"], ["resnet18"])]
    assert all(line.rstrip().endswith("none published") for line in classics)
    assert len(classics) == 2


def test_the_list_needs_no_tensorflow_and_no_patience() -> None:
    program = (
        "import sys; from tl.cli.zoo import zoo; zoo([], standalone_mode=False); "
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30, capture_output=True)
    # 0.4 s of processor time on an idle machine; the rest is room for a busy one.
    assert time.monotonic() - started < 5
