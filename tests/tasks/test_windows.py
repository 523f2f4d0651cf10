import numpy as np

from tasks.windows import Windows

PAD = 9


def column(*rows):
    return [np.array(row, np.int32) for row in rows]


WINDOWS = Windows(
    input_ids=column([1, 2, 3], [4, 5], [6]),
    example=np.array([0, 1, 1]),
    pad_id=PAD,
    tokens={
        "tags": (column([0, 1, 2], [1, 0], [0]), -1),
        "boxes": (column([[1, 2], [3, 4], [5, 6]], [[7, 8], [9, 0]], [[1, 1]]), 0),
        "context": ([np.ones(n, bool) for n in (3, 2, 1)], False),
    },
    values={"label": np.array([2, 0, 1], np.int32), "value": np.array([0.5, 1.5, 2.5], np.float32)},
    notes={"word": column([0, 1, 2], [0, 1], [2])},
)


def test_gathered_windows_are_padded_each_column_with_its_own():
    batch = WINDOWS.gather(np.array([1, 0]), 4)
    assert {name: (array.dtype, array.tolist()) for name, array in batch.items()} == {
        "input_ids": (np.int32, [[4, 5, PAD, PAD], [1, 2, 3, PAD]]),
        "attention_mask": (bool, [[True, True, False, False], [True, True, True, False]]),
        "tags": (np.int32, [[1, 0, -1, -1], [0, 1, 2, -1]]),
        "boxes": (
            np.int32,
            [[[7, 8], [9, 0], [0, 0], [0, 0]], [[1, 2], [3, 4], [5, 6], [0, 0]]],
        ),
        "context": (bool, [[True, True, False, False], [True, True, True, False]]),
        "label": (np.int32, [0, 2]),
        "value": (np.float32, [1.5, 0.5]),
    }


def test_a_row_may_come_twice_and_length_may_be_exact():
    batch = WINDOWS.gather(np.array([0, 2, 0]), 3)
    assert batch["input_ids"].tolist() == [[1, 2, 3], [6, PAD, PAD], [1, 2, 3]]
    assert len(WINDOWS) == 3
    assert WINDOWS.lengths.tolist() == [3, 2, 1]
