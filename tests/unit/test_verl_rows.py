"""verl's ragged rows as rollouts and back, and which rows go to which rank."""

import torch
from PIL import Image

from sightline.engines.verl.data.messages import shown_images, with_images
from sightline.engines.verl.training.batch_order import in_groups
from sightline.engines.verl.training.rows import (
    ragged,
    ragged_responses,
    ragged_sequences,
    real_rows,
    rollouts_of,
)


def chat(colour: str) -> list[dict[str, object]]:
    image = Image.new("RGB", (3, 2), colour)
    return with_images(
        [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "?"}]}], [image]
    )


def batch() -> dict[str, object]:
    """Two rollouts of one prompt, one of another, and a row that verl pads with."""
    mask = [[1, 1, 1], [1], [1, 1], [0]]
    return {
        "prompts": ragged(
            [torch.tensor([7, 8]), torch.tensor([7, 8]), torch.tensor([9]), torch.tensor([0, 0])]
        ),
        "responses": ragged(
            [torch.tensor([1, 2, 3]), torch.tensor([4]), torch.tensor([5, 6]), torch.tensor([0])]
        ),
        "response_mask": ragged([torch.tensor(row) for row in mask]),
        "uid": ["a", "a", "b", "pad0"],
        "raw_prompt": [chat("red"), chat("red"), chat("blue"), chat("red")],
        "extra_info": [{"id": name} for name in ("p1", "p1", "p2", "p1")],
        "session_id": [0, 1, 0, 0],
    }


def test_rows_become_rollouts_and_padding_takes_no_part() -> None:
    data = batch()
    rows = real_rows(data)
    assert rows == [0, 1, 2]
    found = rollouts_of(data, rows)
    assert found.prompt_ids.tolist() == [[7, 8], [7, 8], [0, 9]]
    assert found.prompt_mask.tolist() == [[1, 1], [1, 1], [0, 1]]
    assert found.response_ids.tolist() == [[1, 2, 3], [4, 0, 0], [5, 6, 0]]
    assert found.mask.tolist() == [[1, 1, 1], [1, 0, 0], [1, 1, 0]]
    assert found.group_ids.tolist() == [0, 0, 1]
    assert list(found.sample_ids) == ["p1", "p1", "p2"]
    assert found.rollout_numbers == [0, 1, 0]
    assert found.images[0] is found.images[1], "a prompt's image is decoded once"
    assert found.images[2][0].getpixel((0, 0)) == (0, 0, 255)


def test_values_of_responses_return_in_verls_places() -> None:
    data = batch()
    values = torch.tensor([[0.1, 0.2, 0.3], [0.4, 9.0, 9.0], [0.5, 0.6, 9.0]])
    found = [row.tolist() for row in ragged_responses(data, [0, 1, 2], values).unbind()]
    assert [[round(value, 1) for value in row] for row in found] == [
        [0.1, 0.2, 0.3],
        [0.4],
        [0.5, 0.6],
        [0.0],
    ]
    whole = [row.tolist() for row in ragged_sequences(data, [0, 1, 2], values).unbind()]
    expected = [[0, 0.1, 0.2, 0.3, 0], [0, 0.4, 0], [0.5, 0.6, 0], [0, 0, 0]]
    assert [[round(value, 1) for value in row] for row in whole] == expected, "one place to the left"


def test_an_image_comes_back_as_it_was_shown() -> None:
    image = Image.effect_noise((9, 7), 80).convert("RGB")
    messages = with_images([{"role": "user", "content": [{"type": "image"}]}], [image])
    assert isinstance(messages[0]["content"][0]["image"], bytes)
    assert shown_images(messages)[0].tobytes() == image.tobytes()


def test_a_prompts_rollouts_stay_on_one_rank() -> None:
    uids = ["a", "b", "c", "d"] * 3
    lengths = [9, 1, 5, 2] * 3
    order = in_groups(uids, lengths, ranks=2)
    assert sorted(order) == list(range(12))
    ranks = [{uids[row] for row in order[:6]}, {uids[row] for row in order[6:]}]
    assert ranks == [{"a", "b"}, {"c", "d"}], "the longest with the shortest"
    assert [uids[row] for row in order[:6]] == ["a"] * 3 + ["b"] * 3


def test_groups_that_do_not_divide_stand_in_order() -> None:
    uids = ["b", "a", "c", "a", "b", "c"]
    order = in_groups(uids, [1] * 6, ranks=2)
    assert [uids[row] for row in order] == ["a", "a", "b", "b", "c", "c"]
    assert in_groups(["a", "a", "x", "x", "pad"], [1] * 5, ranks=1) == [0, 1, 4, 2, 3]
