"""The tasks, by name.

The hyper-parameters are those of Devlin et al. 2019 (appendix A.3, sections 4.2 and 4.3): those
with which the DistilBERT paper fine-tuned are unpublished.
"""

from dataclasses import replace
from itertools import chain

from model.errors import InputError, did_you_mean
from tasks.choices.examples import ChoiceColumns
from tasks.choices.kind import Choices
from tasks.cross_lingual import CROSS_LINGUAL
from tasks.embeddings.examples import PairColumns
from tasks.embeddings.kind import Similarity
from tasks.embeddings.parallel import ParallelTexts
from tasks.extractive.examples import DocumentColumns
from tasks.extractive.kind import Extractive
from tasks.extractive.rouge import ROUGE_TITLES
from tasks.formats.aligned import AlignedLines
from tasks.formats.conll import conll_rows
from tasks.formats.documents import Documents, body
from tasks.formats.published import PublishedFiles
from tasks.formats.squad import squad_rows
from tasks.formats.sts import sts_rows
from tasks.formats.table import Table
from tasks.glue import GLUE
from tasks.kinds import KINDS
from tasks.questions.examples import QuestionColumns
from tasks.questions.kind import Answers
from tasks.task import Task
from tasks.texts.examples import TextColumns
from tasks.texts.kind import Classification
from tasks.words.examples import TagColumns
from tasks.words.kind import Tags
from tasks.words.scheme import tags_of_types
from tasks.writing.examples import TranslationColumns
from tasks.writing.summaries import Summaries
from tasks.writing.translation import Translation

_TRAIN_AND_TEST = {"train": "train", "test": "test"}
_TRAIN_AND_DEV = {"train": "train", "dev": "validation"}
_AG_HEADER = ("label", "title", "description")
_NEWSGROUPS = (
    "alt.atheism comp.graphics comp.os.ms-windows.misc comp.sys.ibm.pc.hardware "
    "comp.sys.mac.hardware comp.windows.x misc.forsale rec.autos rec.motorcycles "
    "rec.sport.baseball rec.sport.hockey sci.crypt sci.electronics sci.med sci.space "
    "soc.religion.christian talk.politics.guns talk.politics.mideast talk.politics.misc "
    "talk.religion.misc"
)


_DOCUMENTS = (
    Task(
        "imdb",
        "IMDb",
        Classification(),
        ("accuracy",),
        labels=("neg", "pos"),
        columns=TextColumns(("text",), id=("id",)),
        published=PublishedFiles(
            ("aclImdb", "imdb"),
            {split: (split, "aclImdb*.tar.gz") for split in ("train", "test")},
            Documents("{split}", ignored=("unsup",)),
        ),
        hub="stanfordnlp/imdb",
        hub_splits=_TRAIN_AND_TEST,
        max_length=512,
    ),
    Task(
        "20newsgroups",
        "20 Newsgroups",
        Classification(),
        ("accuracy", "macro_f1"),
        labels=tuple(_NEWSGROUPS.split()),
        # The hub's copy comes without headers, footers and quotes.
        columns=TextColumns(("text",), label=("label_text", "label"), id=("id",)),
        published=PublishedFiles(
            ("20news-bydate", "20newsgroups"),
            {s: (f"20news-bydate-{s}", "20news-bydate*.tar.gz") for s in ("train", "test")},
            Documents("20news-bydate-{split}", encoding="latin-1", clean=body),
        ),
        hub="SetFit/20_newsgroups",
        hub_splits=_TRAIN_AND_TEST,
        incomplete="empty without headers, footers and quotes",
        max_length=512,
    ),
    Task(
        "ag_news",
        "AG News",
        Classification(),
        ("accuracy",),
        labels=("World", "Sports", "Business", "Sci/Tech"),
        columns=TextColumns(("text",), codes=("1", "2", "3", "4")),
        published=PublishedFiles(
            ("ag_news_csv", "ag_news"),
            {"train": ("train.csv",), "test": ("test.csv",)},
            Table({"train": _AG_HEADER, "test": _AG_HEADER}, joined=("title", "description")),
        ),
        hub="fancyzhx/ag_news",
        hub_splits=_TRAIN_AND_TEST,
    ),
)

_TAGS = (
    Task(
        "conll2003",
        "CoNLL-2003",
        Tags(),
        ("entity_f1",),
        labels=tags_of_types(("PER", "ORG", "LOC", "MISC")),
        columns=TagColumns(),
        published=PublishedFiles(
            ("conll2003",),
            {
                "train": ("eng.train", "train.txt"),
                "dev": ("eng.testa", "valid.txt"),
                "test": ("eng.testb", "test.txt"),
            },
            conll_rows,
        ),
        hub="lhoestq/conll2003",
        learning_rate=5e-5,
    ),
    Task(
        "wnut17",
        "WNUT-17",
        Tags(),
        ("entity_f1",),
        labels=tags_of_types(
            ("corporation", "creative-work", "group", "location", "person", "product")
        ),
        columns=TagColumns(),
        published=PublishedFiles(
            ("wnut17", "emerging_entities_17"),
            {
                "train": ("wnut17train.conll",),
                "dev": ("emerging.dev.conll",),
                "test": ("emerging.test.annotated",),
            },
            conll_rows,
        ),
        hub="leondz/wnut_17@refs/convert/parquet",
        learning_rate=5e-5,
    ),
)

_ANSWERS = (
    Task(
        "squad",
        "SQuAD 1.1",
        Answers(),
        ("exact_match", "squad_f1"),
        columns=QuestionColumns(),
        published=PublishedFiles(
            ("squad", "squad1.1"),
            {s: (f"{s}-v1.1.json", f"{s}-v1.1*.json") for s in ("train", "dev")},
            squad_rows,
        ),
        hub="rajpurkar/squad",
        hub_splits=_TRAIN_AND_DEV,
        learning_rate=5e-5,
        max_length=384,
    ),
    Task(
        "squad2",
        "SQuAD 2.0",
        Answers(null_threshold=0.0),
        ("exact_match", "squad_f1"),
        columns=QuestionColumns(),
        published=PublishedFiles(
            ("squad2", "squad2.0"),
            {s: (f"{s}-v2.0.json", f"{s}-v2.0*.json") for s in ("train", "dev")},
            squad_rows,
        ),
        hub="rajpurkar/squad_v2",
        hub_splits=_TRAIN_AND_DEV,
        learning_rate=5e-5,
        batch_size=48,
        epochs=2.0,
        max_length=384,
    ),
)

_CHOICES = (
    Task(
        "swag",
        "SWAG",
        Choices(),
        ("accuracy",),
        # The context is a sentence and the first words of the next one, which the endings complete.
        columns=ChoiceColumns("sent1", "ending", start="sent2"),
        published=PublishedFiles(
            ("swag", "swagaf"),
            {
                split: (f"{name}.csv", f"data/{name}.csv")
                for split, name in (("train", "train"), ("dev", "val"), ("test", "test"))
            },
            Table(),
        ),
        hub="allenai/swag:regular",
        learning_rate=2e-5,
        batch_size=16,
    ),
)

_PAIRS = (
    Task(
        "sts",
        "STS benchmark",
        Similarity(scale=5.0),
        ("spearman", "pearson"),
        columns=PairColumns(("sentence1",), ("sentence2",), ("score",), id=()),
        published=PublishedFiles(
            ("STS-B", "stsbenchmark"),
            {
                "train": ("train.tsv", "sts-train.csv"),
                "dev": ("dev.tsv", "sts-dev.csv"),
                "test": ("original_sts-test.tsv", "sts-test.csv"),  # GLUE's has no scores
            },
            sts_rows,
        ),
        hub="mteb/stsbenchmark-sts",
        learning_rate=2e-5,
        epochs=4.0,
    ),
)

_SUMMARIES = (
    Task(
        "scitldr",
        "SciTLDR (abstracts)",
        Extractive(sentences=1),
        tuple(ROUGE_TITLES),
        columns=DocumentColumns(
            ("source",), ("target",), ("source_labels",), ("title",), ("paper_id",)
        ),
        published=PublishedFiles(
            ("scitldr", "SciTLDR-A", "SciTLDR-Data/SciTLDR-A"),
            {split: (f"{split}.jsonl",) for split in ("train", "dev", "test")},
            Table(),
        ),
        hub="allenai/scitldr:Abstract@refs/convert/parquet",
        learning_rate=5e-5,
        batch_size=16,
        max_length=512,
    ),
    Task(
        "cnn_dailymail",
        "CNN/DailyMail",
        Extractive(sentences=3),
        tuple(ROUGE_TITLES),
        columns=DocumentColumns(("article",), ("highlights",), (), (), ("id",)),
        published=PublishedFiles(
            ("cnn_dailymail",),
            {"train": ("train.csv",), "dev": ("validation.csv",), "test": ("test.csv",)},
            Table(),
        ),
        hub="abisee/cnn_dailymail:3.0.0",
        incomplete="without an article or its highlights",
        learning_rate=5e-5,
        batch_size=32,
        epochs=2.0,
        max_length=512,
    ),
)

_WRITTEN = tuple(
    replace(
        task,
        name=f"{task.name}-abstractive",
        title=f"{task.title}, written",
        kind=Summaries(sentences=sentences),
        epochs=10.0,
    )
    for task, sentences in zip(_SUMMARIES, (1, 3), strict=True)
)


def _multi30k(source: str, target: str) -> Task:
    """Descriptions of pictures, translated (Elliott et al. 2016)."""
    return Task(
        f"multi30k-{source}-{target}",
        f"Multi30k {source} to {target}",
        Translation(),
        ("bleu",),
        columns=TranslationColumns((source,), (target,)),
        published=PublishedFiles(
            ("multi30k",),
            {
                split: (f"{name}.{source}",)
                for split, name in (
                    ("train", "train"),
                    ("dev", "val"),
                    ("test", "test_2016_flickr"),
                )
            },
            AlignedLines((source, target)).beside,
        ),
        hub="bentrevett/multi30k",
        learning_rate=1e-3,
        batch_size=128,
        epochs=10.0,
        max_length=64,
    )


_TRANSLATIONS = (_multi30k("de", "en"), _multi30k("en", "de"))

_OWN = tuple(
    Task(name, kind=kind, **kind.own)
    for name, kind in [
        *KINDS.items(),
        (ParallelTexts.name, ParallelTexts()),
        (Summaries.name, Summaries()),
    ]
)

_PUBLISHED = (
    *(*GLUE, *_DOCUMENTS, *_TAGS, *_ANSWERS, *_CHOICES, *_PAIRS, *_SUMMARIES),
    *(*_WRITTEN, *_TRANSLATIONS),
    *chain(*CROSS_LINGUAL.values()),
)

TASKS: dict[str, Task] = {task.name: task for task in (*_PUBLISHED, *_OWN)}


def find_task(name: str) -> Task:
    """The task of that name.

    Raises:
        InputError: there is none; the message offers the nearest name.
    """
    if name not in TASKS:
        hint = did_you_mean(name.lower(), TASKS, cutoff=0.0)
        alone = (task for task, entry in TASKS.items() if not entry.learned_from)
        listed = ", ".join((*alone, *CROSS_LINGUAL))
        raise InputError(f"there is no task {name!r}: {hint} There are {listed}")
    return TASKS[name]
