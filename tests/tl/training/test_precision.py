"""Where bfloat16 is taken on a CPU."""

from pathlib import Path

import keras
import pytest

from tl.training.precision import bfloat16_gain, cpu_name, has_bfloat16, remembered_gain

CPU = """processor\t: 0
model name\t: AMD EPYC 9999 48-Core Processor
flags\t\t: fpu sse2 avx512f {}
bugs\t\t: avx512_bf16
"""


@pytest.mark.parametrize(
    ("text", "has"),
    [
        (CPU.format("avx512_bf16"), True),
        (CPU.format("amx_bf16 amx_tile"), True),
        (CPU.format("avx512_vnni"), False),
        (CPU.format("avx512_bf16") + CPU.format("avx512_vnni"), False),  # one of two has not
        ("", False),
        ("Features\t: asimd bf16", False),
    ],
)
def test_instructions_are_read_from_the_flags(text: str, has: bool) -> None:
    assert has_bfloat16(text) is has


def test_cpu_has_a_name() -> None:
    assert cpu_name(CPU) == "AMD EPYC 9999 48-Core Processor"
    assert cpu_name("") == ""


def test_both_ways_are_run_and_the_policy_is_as_it_was() -> None:
    policies: list[str] = []

    def build() -> keras.Model:
        policies.append(keras.config.dtype_policy().name)
        images = keras.Input((8, 8, 3))
        return keras.Model(images, keras.layers.Conv2D(4, 3)(images))

    gain = bfloat16_gain(build)

    assert policies == ["float32", "mixed_bfloat16"]
    assert keras.config.dtype_policy().name == "float32"
    assert 0.01 < gain < 100


def test_gain_is_that_of_the_fastest_round_without_the_first() -> None:
    # Turn by turn: compiling, then 3, 2, 4 s in float32 and 1, 2, 1 s in bfloat16.
    ticks = iter([0, 90, 90, 180, 0, 3, 3, 4, 4, 6, 6, 8, 8, 12, 12, 13])
    images = keras.Input((4, 4, 3))
    model = keras.Model(images, keras.layers.Flatten()(images))

    assert bfloat16_gain(lambda: model, clock=lambda: next(ticks)) == 2.0


def test_machine_is_asked_once_for_each_network(tmp_path: Path) -> None:
    answers = [1.5, 0.7, 9.0]

    def measure() -> float:
        return answers.pop(0)

    facts = {"backbone": "resnet50", "size": [224, 224]}
    other = {"backbone": "resnet50", "size": [96, 96]}
    found = [
        remembered_gain(tmp_path / "kept", one, measure) for one in (facts, other, facts, other)
    ]

    assert found == [1.5, 0.7, 1.5, 0.7]
    assert len(answers) == 1
    for damaged in (tmp_path / "kept").iterdir():
        damaged.write_text("{}")
    assert remembered_gain(tmp_path / "kept", facts, measure) == 9.0


def test_answer_that_cannot_be_kept_is_measured(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    assert remembered_gain(tmp_path / "file" / "below", {}, lambda: 1.3) == 1.3


def test_float16_scales_the_loss_and_bfloat16_needs_not() -> None:
    """Gradients below 6e-8 are zero in float16."""
    from tl.training.fit import compile_classifier

    for policy, scales in (("mixed_float16", True), ("mixed_bfloat16", False), ("float32", False)):
        keras.config.set_dtype_policy(policy)
        try:
            inputs = keras.Input((4,))
            outputs = keras.layers.Dense(2, dtype="float32")(keras.layers.Dense(3)(inputs))
            model = keras.Model(inputs, outputs)
        finally:
            keras.config.set_dtype_policy("float32")

        compile_classifier(model, keras.optimizers.AdamW(1e-3))

        assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == scales, policy
