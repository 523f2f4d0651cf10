"""The kinds of task, by name: a new kind is a folder and a line here."""

from tasks.choices.kind import Choices
from tasks.embeddings.kind import Pairs
from tasks.extractive.kind import Extractive
from tasks.kind import Kind
from tasks.multilabel.kind import Multilabel
from tasks.questions.kind import Answers
from tasks.texts.kind import Classification
from tasks.values.kind import Regression
from tasks.words.kind import Tags
from tasks.writing.translation import Translation

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Classification(),
        Multilabel(),
        Regression(),
        Tags(),
        Answers(),
        Choices(),
        Pairs(),
        Extractive(),
        Translation(),
    )
}
