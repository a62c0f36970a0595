"""Few examples out of many: stratified by domain and class, seeded, and nested."""

import itertools
import math
import zlib

import numpy as np

from easymft.config.data_section import SubsetConfig
from easymft.data.label_map import LabelMap
from easymft.data.token_dataset import TokenDataset
from easymft.errors import DataError


def select_rows(
    tokens: TokenDataset, labels: LabelMap, domains: LabelMap, subset: SubsetConfig, *, dev: bool = False
) -> np.ndarray:
    """Chooses examples of each (domain, class) cell, in the files' order.

    Each cell has one random order, a function of `subset.seed` and the names of its domain and class, of which the
    first are taken: what a smaller share holds, a larger one holds too, whatever other domains there are.

    Args:
        tokens: N examples.
        labels: The classes of their label ids.
        domains: The domains of their domain ids.
        subset: Says how many: a share of a cell, rounded up, or a number.
        dev: Whether these are dev rows, of which it says a number at most.

    Returns:
        [m] int64, sorted; all N where the subset is not configured.

    Raises:
        DataError: A cell holds fewer examples than that.
    """
    name = "dev_examples_per_class" if dev else "examples_per_class"
    share, number = None if dev else subset.share, getattr(subset, name)
    if share is None and number is None:
        return np.arange(tokens.num_examples)
    chosen = [np.arange(0)]
    for (domain_id, domain), (label_id, label) in itertools.product(enumerate(domains), enumerate(labels)):
        rows = np.flatnonzero((tokens.domain_ids == domain_id) & (tokens.label_ids == label_id))
        count = number or math.ceil(round(share * len(rows), 6))
        if 0 < len(rows) < count:
            raise DataError(
                f"data.subset.{name}: expected at most {len(rows)}, the rows of class {label!r} in domain "
                f"{domain!r}, got {count}"
            )
        cell = [subset.seed, zlib.crc32(domain.encode()), zlib.crc32(label.encode())]
        chosen.append(np.random.default_rng(cell).permutation(rows)[:count])
    return np.sort(np.concatenate(chosen))
