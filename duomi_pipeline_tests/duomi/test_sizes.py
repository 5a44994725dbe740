"""The size that is asked for: one that the model takes, of the same shape where there is one, never far away."""

import random

import pytest

from duomi_pipeline.duomi.sizes import SizeRule, nearest_ratio
from duomi_pipeline.settings import Size

GPT = SizeRule((), 16, 655_360, 8_294_400, 3840, 3.0)
FLUX = SizeRule((), 32, 0, 1440 * 1440, 1440)
LIST = SizeRule(tuple(map(Size.parse, ("1024x1024", "512x1024", "768x512", "768x1024", "1024x576", "576x1024"))))
FREE = SizeRule()
RANDOM = random.Random(5)
DELIVERIES = [Size(RANDOM.randint(64, 8192), RANDOM.randint(64, 8192)) for _ in range(400)]
DELIVERIES += [Size(RANDOM.randint(64, 2600), RANDOM.randint(64, 2600)) for _ in range(400)]
DELIVERIES += [Size(64, 8192), Size(8192, 64), Size(64, 64), Size(8192, 8192), Size(1080, 1920), Size(1179, 2556)]


def cut_away(size: Size, delivery: Size) -> float:
    """The share of a picture that is lost when it is cut to the delivery's shape."""
    ratio = (size.width / size.height) / (delivery.width / delivery.height)
    return 1 - min(ratio, 1 / ratio)


@pytest.mark.parametrize("rule", [GPT, FLUX, LIST, FREE])
def test_what_is_asked_for_is_always_taken(rule: SizeRule) -> None:
    for delivery in DELIVERIES:
        asked = rule.nearest(delivery)
        assert asked is not None, delivery
        assert rule.takes(asked), (delivery, asked)


@pytest.mark.parametrize("rule", [GPT, FLUX, LIST, FREE])
def test_a_size_that_the_model_takes_is_asked_for_as_it_is(rule: SizeRule) -> None:
    taken = [delivery for delivery in [*DELIVERIES, *LIST.sizes] if rule.takes(delivery)]
    assert taken
    assert all(rule.nearest(delivery) == delivery for delivery in taken)


@pytest.mark.parametrize("rule", [GPT, FLUX])
def test_next_to_nothing_is_cut_away_unless_the_model_draws_no_such_shape(rule: SizeRule) -> None:
    for delivery in DELIVERIES:
        asked = rule.nearest(delivery)
        assert asked is not None
        if max(delivery) <= 3 * min(delivery):
            assert cut_away(asked, delivery) <= 2 * rule.side_multiple / min(asked), (delivery, asked)


@pytest.mark.parametrize("shape", [Size(9, 16), Size(16, 9), Size(1, 1), Size(2, 3), Size(4, 5), Size(21, 9)])
def test_a_shape_that_the_model_has_is_kept_exactly_and_no_larger_than_needed(shape: Size) -> None:
    for factor in range(30, 240, 7):
        delivery = Size(shape.width * factor, shape.height * factor)
        asked = GPT.nearest(delivery)
        assert asked is not None
        assert asked.width * shape.height == asked.height * shape.width, (delivery, asked)
        smaller = [
            Size(shape.width * k, shape.height * k)
            for k in range(factor, asked.width // shape.width)
            if GPT.takes(Size(shape.width * k, shape.height * k))
        ]
        assert not smaller, (delivery, asked)


@pytest.mark.parametrize(
    ("delivery", "asked"),
    [
        ("1080x1920", "576x1024"),
        ("288x512", "576x1024"),
        ("2000x2000", "1024x1024"),
        ("500x500", "1024x1024"),
        ("1179x2556", "512x1024"),
        ("1920x1080", "1024x576"),
        ("600x800", "768x1024"),
    ],
)
def test_of_a_list_the_shape_that_loses_least_is_asked_for(delivery: str, asked: str) -> None:
    assert str(LIST.nearest(Size.parse(delivery))) == asked


def test_of_two_sizes_of_one_shape_the_smallest_that_covers_is_asked_for_else_the_largest() -> None:
    rule = SizeRule((Size(360, 640), Size(720, 1280), Size(1080, 1920)))
    assert [rule.nearest(Size(9 * k, 16 * k)) for k in (30, 41, 81, 200)] == [
        Size(360, 640), Size(720, 1280), Size(1080, 1920), Size(1080, 1920),
    ]  # fmt: skip


def test_a_shape_beyond_the_models_is_asked_for_in_the_longest_that_it_draws() -> None:
    asked = GPT.nearest(Size(500, 2500))
    assert asked is not None
    assert asked.height / asked.width == pytest.approx(3, rel=0.02)
    assert asked.height >= 2500


def test_where_no_size_will_do_there_is_none() -> None:
    assert SizeRule((), 16, 1_000_001, 1_000_002).nearest(Size(1000, 1000)) is None


def test_a_ratio_is_the_nearest_and_its_size_covers_the_delivery() -> None:
    ratios = ("1:1", "2:3", "3:2", "9:16", "16:9", "21:9")
    shapes = {name: Size(*map(int, name.split(":"))) for name in ratios}
    for delivery in DELIVERIES:
        ratio, size = nearest_ratio(ratios, delivery)
        shape = shapes[ratio]
        assert cut_away(shape, delivery) == min(cut_away(other, delivery) for other in shapes.values())
        assert size.width * shape.height == size.height * shape.width
        assert size.width >= delivery.width
        assert size.height >= delivery.height
        assert size.width - shape.width < delivery.width or size.height - shape.height < delivery.height
