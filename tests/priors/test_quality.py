"""FID and IS against known answers: two Gaussians, certain and uncertain classes; batches change nothing."""

from __future__ import annotations

import numpy as np
import pytest
from scanprior.priors.quality import InceptionScore, Moments, frechet_distance


def moments(*batches: np.ndarray) -> Moments:
    out = Moments()
    for batch in batches:
        out.add(batch)
    return out


def exactly(mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Points with exactly this mean and covariance, (2 d, d)."""
    d = len(mean)
    root = np.linalg.cholesky(covariance) * np.sqrt((2 * d - 1) / 2)
    return mean + np.concatenate([root.T, -root.T])


def test_the_distance_of_two_gaussians() -> None:
    """Commuting covariances: |m|² + sum (s_1 - s_2)²; the same ones turned: |m|² + tr - 2 tr of the root."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    s_1, s_2 = rng.uniform(0.5, 2, 5), rng.uniform(0.5, 2, 5)
    m_1, m_2 = rng.normal(size=(2, 5))
    one = moments(exactly(m_1, basis @ np.diag(s_1**2) @ basis.T))
    two = moments(exactly(m_2, basis @ np.diag(s_2**2) @ basis.T))
    expected = ((m_1 - m_2) ** 2).sum() + ((s_1 - s_2) ** 2).sum()
    assert frechet_distance(one, two) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(two, one) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9)
    turned = moments(exactly(m_1, np.diag(s_2**2)))
    product = np.linalg.eigvals(one.covariance @ turned.covariance).real
    expected = (s_1**2).sum() + (s_2**2).sum() - 2 * np.sqrt(product).sum()
    assert frechet_distance(one, turned) == pytest.approx(expected, rel=1e-9)
    rank_one = moments(np.outer([1.0, -1.0], np.eye(5)[0]))  # S of rank 1
    assert frechet_distance(rank_one, rank_one) == pytest.approx(0, abs=1e-9)


def test_the_distance_of_two_samples_of_one_law_shrinks_with_their_number() -> None:
    rng = np.random.default_rng(1)
    few, many = (
        frechet_distance(moments(rng.normal(size=(n, 20))), moments(rng.normal(size=(n, 20))))
        for n in (100, 4000)
    )
    assert 0 < many < few / 20
    assert many == pytest.approx(20 * (20 + 5) / (2 * 4000), rel=0.2)


def test_batches_change_nothing() -> None:
    x = 1e4 + np.random.default_rng(2).normal(size=(50, 4)).astype(np.float32)  # far from zero
    whole, parts = moments(x), moments(x[:7], x[7:8], x[8:])
    np.testing.assert_allclose(parts.mean, x.mean(0, dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(parts.covariance, np.cov(x.astype(float), rowvar=False), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(parts.covariance, whole.covariance, rtol=1e-9, atol=1e-9)
    p = np.random.default_rng(3).dirichlet(np.ones(6), 40)
    one, many = InceptionScore(40), InceptionScore(40)
    one.add(np.log(p))
    for batch in np.split(p, [3, 4, 30]):
        many.add(np.log(batch))
    assert many.score() == pytest.approx(one.score())


def test_the_score_of_known_classes() -> None:
    """K classes, all certain and equally many: K. The same doubt about every image: 1. Half of a doubt: between."""
    classes = np.eye(4)[np.arange(400) % 4]
    with np.errstate(divide="ignore"):
        certain = InceptionScore(400, splits=1)
        certain.add(np.log(classes))
        assert certain.score() == pytest.approx((4, 0))
    same = InceptionScore(400)
    same.add(np.log(np.tile([[0.7, 0.2, 0.05, 0.05]], (400, 1))))
    assert same.score() == pytest.approx((1, 0))
    doubt = 0.5 * classes + 0.125  # entropy of (0.625, 0.125, 0.125, 0.125) against log 4
    half = InceptionScore(400, splits=1)
    half.add(np.log(doubt))
    entropy = -(0.625 * np.log(0.625) + 3 * 0.125 * np.log(0.125))
    assert half.score()[0] == pytest.approx(np.exp(np.log(4) - entropy))


def test_splits_are_those_of_torch_fidelity() -> None:
    """Its formula, on shuffled images cut into ten."""
    p = np.random.default_rng(4).dirichlet(np.full(5, 0.3), 103)
    shuffled = p[np.random.RandomState(2020).permutation(103)]
    scores = []
    for k in range(10):
        part = shuffled[k * 103 // 10 : (k + 1) * 103 // 10]
        kl = (part * (np.log(part) - np.log(part.mean(0)))).sum(1)
        scores.append(np.exp(kl.mean()))
    ours = InceptionScore(103)
    ours.add(np.log(p))
    assert ours.score() == pytest.approx((np.mean(scores), np.std(scores)))


def test_refusals() -> None:
    with pytest.raises(ValueError, match="two or more"):
        frechet_distance(moments(np.ones((1, 2))), moments(np.ones((3, 2))))
    with pytest.raises(ValueError, match="of one network"):
        frechet_distance(moments(np.ones((3, 2))), moments(np.ones((3, 4))))
    with pytest.raises(ValueError, match="not finite"):
        moments(np.array([[np.nan, 1.0]]))
    with pytest.raises(ValueError, match="of shape"):
        moments(np.ones((3, 2)), np.ones((3, 4)))
    with pytest.raises(ValueError, match="one or more in each"):
        InceptionScore(9)
    score = InceptionScore(10)
    score.add(np.log(np.full((9, 2), 0.5)))
    with pytest.raises(ValueError, match="got 9 of 10"):
        score.score()
    with pytest.raises(ValueError, match="more than the 10"):
        score.add(np.log(np.full((2, 2), 0.5)))
