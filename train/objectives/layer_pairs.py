"""The pairs of layers, of a student and its teacher, that are compared."""

from model.errors import InputError


def layer_pairs(layers: str, student: int, teacher: int) -> tuple[tuple[int, int], ...]:
    """Pairs of (student layer, teacher layer), counted from 0.

    `last`: the last with the last. `uniform`: every layer of the student, with teacher layers at
    even distances that end with the last; for 6 and 12 layers 0:1, 1:3, ... 5:11 (Jiao et al. 2020,
    TinyBERT, section 4). Or the pairs themselves, as in `0:1,5:11`.

    Args:
        layers: a name or pairs.
        student: the number of the student's layers.
        teacher: the number of the teacher's layers.

    Raises:
        InputError: an unknown name, or a layer that a model does not have.
    """
    if layers == "last":
        return ((student - 1, teacher - 1),)
    if layers == "uniform":
        return tuple(
            (layer, max(round((layer + 1) * teacher / student), 1) - 1) for layer in range(student)
        )
    try:
        pairs = tuple((int(a), int(b)) for a, b in (pair.split(":") for pair in layers.split(",")))
    except ValueError:
        raise InputError(
            f"layers {layers!r} are unknown: there are last, uniform, and pairs of a student's and "
            "a teacher's layer such as 0:1,5:11"
        ) from None
    for pair in pairs:
        for whose, layer, depth in zip(
            ("student", "teacher"), pair, (student, teacher), strict=True
        ):
            if not 0 <= layer < depth:
                raise InputError(
                    f"layers {layers!r}: the {whose} has no layer {layer}, only 0 to {depth - 1}"
                )
    return pairs
