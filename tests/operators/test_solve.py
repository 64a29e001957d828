"""Conjugate gradients and the power method against dense linear algebra."""

import pytest
import torch
from scanprior.operators.solve import conjugate_gradients, dual_conjugate_gradients, inner
from toys import Dense


def rand(*shape, dtype=torch.complex128, seed=0):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def positive(n=12, dtype=torch.complex128):
    """A Hermitian matrix with eigenvalues 1..n."""
    q, _ = torch.linalg.qr(rand(n, n, dtype=dtype))
    return q @ torch.diag(torch.arange(1.0, n + 1).to(dtype)) @ q.conj().T


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_cg_solves_in_n_steps(dtype):
    M, b = positive(dtype=dtype), rand(3, 12, dtype=dtype, seed=1)
    x = conjugate_gradients(lambda v: v @ M.T, b, iterations=12, tolerance=1e-12)
    torch.testing.assert_close(x, torch.linalg.solve(M, b.T).T, rtol=1e-9, atol=1e-9)


def test_cg_error_falls_monotonically_in_the_energy_norm_and_at_the_known_rate():
    M, b = positive(dtype=torch.float64), rand(1, 12, dtype=torch.float64, seed=1)
    exact = torch.linalg.solve(M, b.T).T
    energies = []
    for k in range(8):
        e = conjugate_gradients(lambda v: v @ M.T, b, iterations=k, tolerance=0) - exact
        energies.append(float((e @ M * e).sum().sqrt()))
    rate = (12**0.5 - 1) / (12**0.5 + 1)
    for k, energy in enumerate(energies):
        assert energy <= 2 * rate**k * energies[0] * (1 + 1e-9)
    assert energies == sorted(energies, reverse=True)


def test_the_inverse_as_preconditioner_solves_in_one_step_and_a_diagonal_takes_a_scaling_away():
    M, b = positive(), rand(2, 12, seed=1)
    one = conjugate_gradients(
        lambda v: v @ M.T, b, iterations=1, preconditioner=lambda r: torch.linalg.solve(M, r.T).T
    )
    torch.testing.assert_close(one, torch.linalg.solve(M, b.T).T, rtol=1e-8, atol=1e-8)
    d = torch.logspace(0, 6, 12, dtype=torch.float64)  # D M D preconditioned by 1 / D² goes as M by itself
    scaled = conjugate_gradients(
        lambda v: d * ((d * v) @ M.T), d * b, iterations=4, preconditioner=lambda r: r / d**2
    )
    plain = conjugate_gradients(lambda v: v @ M.T, b, iterations=4)
    torch.testing.assert_close(d * scaled, plain, rtol=1e-7, atol=1e-9)


def test_cg_with_a_warm_start_stays_at_the_solution():
    M, b = positive(), rand(2, 12, seed=1)
    exact = torch.linalg.solve(M, b.T).T
    calls = []
    x = conjugate_gradients(lambda v: calls.append(1) or v @ M.T, b, x0=exact, tolerance=1e-8)
    torch.testing.assert_close(x, exact, rtol=1e-10, atol=1e-10)
    assert len(calls) == 1


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_items_of_very_different_scale_do_not_talk(dtype):
    M = positive().to(dtype)
    b = rand(4, 12, seed=1).to(dtype) * torch.tensor([1e-6, 1.0, 0.0, 1e6])[:, None]

    def solve(rhs):
        return conjugate_gradients(lambda v: v @ M.T, rhs, iterations=6, tolerance=1e-3)

    together = solve(b)
    for k in range(4):
        alone = solve(b[k : k + 1])[0]
        torch.testing.assert_close(together[k], alone, rtol=1e-4, atol=1e-5 * float(b[k].abs().max()))
    assert not together[2].any()
    residual = ((together @ M.T - b).norm(dim=1) / b.norm(dim=1).clamp_min(1e-30))[[0, 1, 3]]
    assert residual.max() < 0.1


def test_a_converged_item_rests_while_others_go_on():
    M = positive()
    easy = torch.linalg.eigh(M)[1][:, 0] + 1e-4 * rand(12, seed=2)  # one step reaches the tolerance
    b = torch.stack([easy, rand(12, seed=1)])

    def solve(rhs):
        return conjugate_gradients(lambda v: v @ M.T, rhs, iterations=12, tolerance=1e-3)

    together, exact = solve(b), torch.linalg.solve(M, b.T).T
    torch.testing.assert_close(together[:1], solve(b[:1]), rtol=1e-12, atol=1e-12)
    assert float((together - exact).norm(dim=1).max()) < 1e-2
    assert float((together[0] - exact[0]).norm()) > 1e-5  # it did stop there


def test_inner_is_per_item_and_real():
    a, b = rand(3, 2, 4), rand(3, 2, 4, seed=1)
    expected = torch.stack([torch.vdot(x.flatten(), y.flatten()).real for x, y in zip(a, b, strict=True)])
    assert inner(a, b).shape == (3, 1, 1)
    torch.testing.assert_close(inner(a, b).flatten(), expected)


def test_inner_sums_many_float32_in_double():
    a = torch.full((1, 2**20), 0.1)
    assert float(inner(a, a)) == pytest.approx(2**20 * 0.1**2, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_norm_is_the_largest_singular_value(dtype):
    matrix = rand(9, 6, dtype=dtype)
    matrix = matrix + 2 * rand(9, 1, dtype=dtype, seed=1) @ rand(1, 6, dtype=dtype, seed=2)  # a gap
    expected = float(torch.linalg.svdvals(matrix)[0])
    A = Dense(matrix, domain_complex=matrix.is_complex())
    assert A.norm() == pytest.approx(expected, rel=1e-5)
    assert (3 * A).norm() == pytest.approx(3 * expected, rel=1e-5)
    assert A.H.norm() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_the_dual_iteration_is_that_of_its_matrix_and_projects_less(dtype):
    """(1 + A v A^H) q = b, v of each pixel: the same q as from the matrix, A^H q with it, the last A spared."""
    matrix, b, v = rand(7, 12, dtype=dtype), rand(3, 7, dtype=dtype, seed=1), torch.rand(3, 12).double() + 0.1
    P, calls = torch.linspace(0.5, 1, 7).double(), []

    def A(x):
        return calls.append("A") or x @ matrix.T

    def AH(y):
        return calls.append("AH") or y @ matrix.conj()

    for steps in (1, 4):
        q, AHq = dual_conjugate_gradients(A, AH, v, b, steps, lambda r: P * r, tolerance=0)
        assert (calls.count("A"), calls.count("AH")) == (steps - 1, steps)
        want = conjugate_gradients(
            lambda r: r + A(v * AH(r)), b, iterations=steps, tolerance=0, preconditioner=lambda r: P * r
        )
        torch.testing.assert_close(q, want, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(AHq, AH(want), rtol=1e-9, atol=1e-9)
        calls.clear()
