import keras
import pytest

from tl.zoo.backbones import find_backbone
from tl.zoo.build import build_backbone
from tl.zoo.stages import feature_maps, stage_outputs, stages


def build(name: str) -> keras.Model:
    return build_backbone(find_backbone(name), (64, 64))


def test_mobilenet_has_the_five_stages_of_its_paper() -> None:
    model = build("mobilenet_0.5")

    found = stages(model)

    assert [stage.stride for stage in found] == [2, 4, 8, 16, 32]
    assert [stage.output for stage in found] == [
        f"conv_pw_{block}_relu" for block in (1, 3, 5, 11, 13)
    ]
    assert found[-1].layer_names[:2] == ("conv_dw_12", "conv_dw_12_bn")
    assert [tuple(output.shape[1:]) for output in stage_outputs(model)] == [
        (32, 32, 32), (16, 16, 64), (8, 8, 128), (4, 4, 256), (2, 2, 512),
    ]  # fmt: skip


def test_shipped_backbone_ends_with_the_blocks_that_it_pools() -> None:
    found = stages(build("tl_small"))

    assert [stage.stride for stage in found] == [2, 4, 8, 16]
    assert {"conv_dw_6", "conv_pw_7", "features"} <= set(found[-1].layer_names)


def test_padding_for_the_next_stage_is_not_a_stage_output() -> None:
    found = stages(build("mobilenet_v2_0.35"))

    assert [stage.output for stage in found][:2] == ["block_1_expand_relu", "block_3_expand_relu"]
    assert found[1].layer_names[-1] == "block_3_pad"


def test_pooling_at_the_end_of_vgg_makes_no_stage_without_weights() -> None:
    found = stages(build("vgg16"))

    assert [stage.stride for stage in found] == [1, 2, 4, 8, 32]
    assert {"block5_conv1", "block5_pool", "features"} <= set(found[-1].layer_names)


def test_output_of_a_residual_stage_is_its_sum_and_not_a_branch() -> None:
    assert stages(build("resnet50_v2"))[1].output == "conv2_block2_out"


@pytest.mark.parametrize("side", [32, 47])
def test_strides_do_not_depend_on_the_image_size(side: int) -> None:
    backbone = find_backbone("mobilenet_v3_small")
    reference = stages(build_backbone(backbone, (64, 64)))
    found = stages(build_backbone(backbone, (side, side)))

    assert [stage.stride for stage in found] == [stage.stride for stage in reference]
    assert [len(stage.layer_names) for stage in found] == [
        len(stage.layer_names) for stage in reference
    ]


def test_nested_layers_of_convnext_count_with_their_stride() -> None:
    model = build("convnext_tiny")

    assert [stage.stride for stage in stages(model)] == [4, 8, 16, 32]
    assert [output.shape[-1] for output in stage_outputs(model)] == [96, 192, 384, 768]


def test_stage_outputs_can_be_read_by_one_model() -> None:
    model = build("mobilenet_0.5")

    endpoints = keras.Model(model.input, stage_outputs(model))

    shapes = [output.shape for output in endpoints(keras.ops.zeros((1, 64, 64, 3)))]
    assert [shape[-1] for shape in shapes] == [32, 64, 128, 256, 512]


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("vgg16", {"stride_1": 64, "stride_2": 128, "stride_4": 256, "stride_8": 512,
                   "stride_16": 512, "stride_32": 512}),
        ("mobilenet_0.5", {"stride_2": 32, "stride_4": 64, "stride_8": 128, "stride_16": 256,
                           "stride_32": 512}),
        ("convnext_tiny", {"stride_4": 96, "stride_8": 192, "stride_16": 384, "stride_32": 768}),
        ("resnet18", {"stride_2": 64, "stride_4": 64, "stride_8": 128, "stride_16": 256,
                      "stride_32": 512}),
        ("lenet5", {"stride_1": 6, "stride_2": 16, "stride_4": 120}),
    ],
)  # fmt: skip
def test_feature_maps_have_the_same_names_in_every_backbone(
    name: str, channels: dict[str, int]
) -> None:
    model = build(name)

    maps = keras.Model(model.input, feature_maps(model))(keras.ops.zeros((1, 64, 64, 3)))

    assert {stride: one.shape[-1] for stride, one in maps.items()} == channels
    if name != "lenet5":  # whose convolutions cut the borders
        assert all(one.shape[1] == 64 // int(stride[7:]) for stride, one in maps.items())


def test_alexnet_has_a_map_at_every_stride_though_three_stages() -> None:
    model = build_backbone(find_backbone("alexnet"))

    assert [stage.stride for stage in stages(model)] == [4, 8, 32]
    found = {name: tuple(one.shape[1:]) for name, one in feature_maps(model).items()}
    assert found == {"stride_4": (55, 55, 96), "stride_8": (27, 27, 256),
                     "stride_16": (13, 13, 256), "stride_32": (6, 6, 256)}  # fmt: skip
