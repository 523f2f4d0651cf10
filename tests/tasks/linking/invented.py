"""Three abstracts and a dictionary of ten concepts, invented, in the formats of NCBI disease."""

from pathlib import Path

DICTIONARY = """\
D000001||Copper Fever|Fever, Copper|Brazier Disease
D000002|100200||Glass Bone Syndrome|Brittle Glass Syndrome
D000003||Glass Bone Syndrome, Type II|Late Glass Bone Syndrome
D000004|OMIM:300400||Weaver Palsy|Palsy of Weavers
D000005||Night Ataxia|Ataxia Nocturna
D000006||Breast Cancer|Cancer of the Breast
D000007||Ovarian Cancer|Cancer of the Ovary
C000008||Blue Tongue Disease|Brazier Disease
C000009|100900|200900||Tinnitus of Bell Ringers
C000010||Potter Anaemia|Anaemia of Potters
"""
ABSTRACTS = (
    (
        "101",
        "A gene of glass bone syndrome (GBS).",
        "GBS is rare. Copper fever and late GBS patients were seen, as was weaver's palsy.",
        (
            ("glass bone syndrome", "SpecificDisease", "D000002"),
            ("GBS", "SpecificDisease", "OMIM:100200"),
            ("Copper fever", "SpecificDisease", "D000001"),
            ("late GBS", "Modifier", "D000003"),
            ("weaver's palsy", "SpecificDisease", "MESH:D000004"),
        ),
    ),
    (
        "102",
        "Cancer in villages.",
        "Breast and ovarian cancer, and the brazier disease, are frequent.",
        (
            ("Breast and ovarian cancer", "CompositeMention", "D000006|D000007"),
            ("brazier disease", "SpecificDisease", "C000008"),
        ),
    ),
    (
        "103",
        "Dusk stumbling.",
        "Dusk stumbling is night ataxia; no bell was rung.",
        (
            ("Dusk stumbling", "SpecificDisease", "D000005"),
            ("night ataxia", "SpecificDisease", "D000005+D000004"),
        ),
    ),
)


def pubtator(*abstracts) -> str:
    """Abstracts in PubTator's format; each mention is where the text first has it."""
    lines = []
    for id, title, abstract, mentions in abstracts:
        lines += [f"{id}|t|{title}", f"{id}|a|{abstract}"]
        for mention, type, concept in mentions:
            start = f"{title} {abstract}".index(mention)
            cells = (id, start, start + len(mention), mention, type, concept)
            lines.append("\t".join(map(str, cells)))
        lines.append("")
    return "\n".join(lines) + "\n"


def write_dictionary(folder: Path) -> Path:
    file = folder / "dictionary.txt"
    file.write_text(DICTIONARY)
    return file


def write_documents(folder: Path, *abstracts, name: str = "documents.txt") -> Path:
    file = folder / name
    file.write_text(pubtator(*(abstracts or ABSTRACTS)))
    return file
