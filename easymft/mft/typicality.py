"""Prototypes and typicality scores (MFT, Wang et al. 2020, section 3.2, equations 1 and 2).

Notation: K domains, M classes, embeddings E(x) of width d under the un-tuned encoder. Everything is computed in float64
and from streamed batches, so memory grows with K * M * d (and d * d for whitening), never with the number of examples.
"""

from dataclasses import dataclass

import numpy as np


class PrototypeAccumulator:
    """Sums embeddings of each (domain, class) cell over streamed batches.

    Args:
        num_domains: K.
        num_labels: M.
        width: d, the embeddings' width.
        covariance: Also collect the d x d second moment that whitening needs.
    """

    def __init__(self, num_domains: int, num_labels: int, width: int, covariance: bool = False):
        self.sums = np.zeros([num_domains, num_labels, width])
        self.counts = np.zeros([num_domains, num_labels], np.int64)
        self._second_moment = np.zeros([width, width]) if covariance else None

    def update(self, embeddings: np.ndarray, label_ids: np.ndarray, domain_ids: np.ndarray) -> None:
        """Adds a batch: embeddings [n, d], label_ids [n] in [0, M), domain_ids [n] in [0, K)."""
        embeddings = np.asarray(embeddings, np.float64)
        if not np.isfinite(embeddings).all():
            raise ValueError(
                f"embeddings must be finite. Received: {np.count_nonzero(~np.isfinite(embeddings))} that are not"
            )
        np.add.at(self.sums, (domain_ids, label_ids), embeddings)
        np.add.at(self.counts, (domain_ids, label_ids), 1)
        if self._second_moment is not None:
            self._second_moment += embeddings.T @ embeddings

    def prototypes(self) -> np.ndarray:
        """c_m^k, the mean embedding of each cell, [K, M, d]; zeros where a cell holds no example (see `counts`)."""
        return self.sums / np.maximum(self.counts, 1)[:, :, None]

    def mean(self) -> np.ndarray:
        """The global mean of E, [d]."""
        return self.sums.sum((0, 1)) / max(self.counts.sum(), 1)

    def covariance(self) -> np.ndarray:
        """The global covariance of E, [d, d]; needs `covariance=True`."""
        if self._second_moment is None:
            raise ValueError(
                "PrototypeAccumulator must be made with covariance=True. Received: False"
            )
        mean = self.mean()
        return self._second_moment / max(self.counts.sum(), 1) - np.outer(mean, mean)


@dataclass(frozen=True)
class EmbeddingTransform:
    """An affine map E -> (E - mean) @ matrix that makes cosines spread more; the identity where both are None."""

    mean: np.ndarray | None = None
    matrix: np.ndarray | None = None

    @classmethod
    def fit(
        cls, statistics: PrototypeAccumulator, *, center: bool, whiten: bool, epsilon: float = 1e-5
    ) -> "EmbeddingTransform":
        """Centring, or PCA whitening (which centres too): matrix = V (L + epsilon)^-1/2 with covariance V L V^T.

        Args:
            statistics: Filled with all examples, with `covariance=True` for whitening.
            center: Subtract the global mean.
            whiten: Also scale every principal axis to unit variance.
            epsilon: Added to the eigenvalues; large values leave weak axes weak.
        """
        if not center and not whiten:
            return cls()
        if not whiten:
            return cls(mean=statistics.mean())
        eigenvalues, eigenvectors = np.linalg.eigh(statistics.covariance())
        return cls(mean=statistics.mean(), matrix=eigenvectors / np.sqrt(np.maximum(eigenvalues, 0.0) + epsilon))

    def __call__(self, embeddings: np.ndarray) -> np.ndarray:
        """Maps [..., d] to [..., d] in float64."""
        embeddings = np.asarray(embeddings, np.float64)
        if self.mean is not None:
            embeddings = embeddings - self.mean
        return embeddings if self.matrix is None else embeddings @ self.matrix


def compute_prototypes(
    embeddings: np.ndarray, label_ids: np.ndarray, domain_ids: np.ndarray, num_labels: int, num_domains: int
) -> tuple[np.ndarray, np.ndarray]:
    """The mean embedding of each (domain, class) cell; equation 1 of the paper, for data that fits in memory.

    Args:
        embeddings: E(x), [N, d].
        label_ids: [N], in [0, M).
        domain_ids: [N], in [0, K).
        num_labels: M.
        num_domains: K.

    Returns:
        (prototypes [K, M, d] float64, zeros where a cell is empty; counts [K, M]).
    """
    accumulator = PrototypeAccumulator(num_domains, num_labels, np.shape(embeddings)[1])
    accumulator.update(embeddings, label_ids, domain_ids)
    return accumulator.prototypes(), accumulator.counts


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Scales [..., d] to length 1; a zero vector stays zero, so that its cosine with anything is 0 and not NaN."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(norms > 0.0, norms, 1.0)


def compute_typicality(
    embeddings: np.ndarray,
    label_ids: np.ndarray,
    domain_ids: np.ndarray,
    prototypes: np.ndarray,
    counts: np.ndarray,
    *,
    alpha: float = 0.5,
    out_of_domain: str = "mean_of_cosines",
) -> np.ndarray:
    """How typical each example is for its class, in its own and in the other domains; equation 2 of the paper.

    t = alpha * cos(E, c_m^k) + (1 - alpha) * out, where `out` is, over the other domains that hold class m,
    `mean_of_cosines` (paper): the mean of cos(E, c_m^k~); `cosine_to_mean` (published code): cos(E, mean of c_m^k~).
    Where no other domain holds the class, t is the in-domain cosine; where the own cell is empty, t is `out`.

    Args:
        embeddings: E(x), [n, d], under the same transform as the prototypes.
        label_ids: [n], in [0, M).
        domain_ids: [n], in [0, K).
        prototypes: c_m^k, [K, M, d].
        counts: Examples in each cell, [K, M]; prototypes of cells with 0 are ignored.
        alpha: Weight of the in-domain cosine, 0 < alpha < 1.
        out_of_domain: `mean_of_cosines` or `cosine_to_mean`.

    Returns:
        t, [n] float64, never NaN.

    Raises:
        ValueError: alpha or out_of_domain is not one of the above, or a label has no prototype in any domain.
    """
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must lie between 0 and 1. Received: alpha={alpha}")
    if out_of_domain not in ("mean_of_cosines", "cosine_to_mean"):
        raise ValueError(f"out_of_domain must be mean_of_cosines or cosine_to_mean. Received: {out_of_domain}")
    held = np.asarray(counts)[:, label_ids].T > 0  # [n, K]: does domain k hold the example's class?
    if not held.any(axis=1).all():
        label = int(np.asarray(label_ids)[~held.any(axis=1)][0])
        raise ValueError(f"every label must have a prototype in some domain. Received: label {label}, which has none")
    own = np.arange(held.shape[1]) == np.asarray(domain_ids)[:, None]
    units = _unit(np.asarray(embeddings, np.float64))
    own_held, other_held = held & own, held & ~own
    num_other = np.maximum(other_held.sum(1), 1)
    cosines = np.empty(held.shape)
    for domain, cell_prototypes in enumerate(_unit(prototypes)):  # keeps memory at n * d instead of n * K * d
        cosines[:, domain] = np.einsum("nd,nd->n", units, cell_prototypes[label_ids])
    inside = np.where(own_held, cosines, 0.0).sum(1)
    if out_of_domain == "mean_of_cosines":
        outside = np.where(other_held, cosines, 0.0).sum(1) / num_other
    else:
        outside = np.einsum("nd,nd->n", units, _unit(_means_of_others(prototypes, counts))[domain_ids, label_ids])
    both = alpha * inside + (1.0 - alpha) * outside
    return np.where(~other_held.any(1), inside, np.where(own_held.any(1), both, outside))


def _means_of_others(prototypes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """For each domain the mean prototype of each class over the other domains that hold it, [K, M, d]; else zeros."""
    held = np.asarray(counts) > 0
    shares = held[None] & ~np.eye(len(held), dtype=bool)[:, :, None]  # [K, K, M]: whose, of which domain
    shares = shares / np.maximum(shares.sum(1, keepdims=True), 1)
    return np.einsum("kjm,jmd->kmd", shares, prototypes)
