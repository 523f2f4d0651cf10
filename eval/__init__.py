"""Commands that measure."""

import train  # noqa: F401  (commands of this package, too, keep the memory that they free)
