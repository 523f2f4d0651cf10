"""20 Newsgroups without what gives the group away.

Headers name the group, and signatures and quotes the people in it: a classifier learns these and
not the topic. The rules are those of scikit-learn's `fetch_20newsgroups(remove=("headers",
"footers", "quotes"))`, so that numbers can be compared with published ones.
"""

import re

_QUOTED = re.compile(r"^>|^\||^In article|^Quoted from|writes in|writes:|wrote:|says:|said:")


def body(post: str) -> str:
    """What the author of the post wrote: it may be empty.

    The header ends with the first blank line. What follows the last line that is blank, or all
    hyphens, is taken for a signature. Lines that quote, or that say who is quoted, are left out.
    """
    text = post.partition("\n\n")[2]
    lines = text.strip().split("\n")
    breaks = [number for number, line in enumerate(lines) if not line.strip().strip("-")]
    if breaks and breaks[-1] > 0:
        text = "\n".join(lines[: breaks[-1]])
    return "\n".join(line for line in text.split("\n") if not _QUOTED.search(line))
