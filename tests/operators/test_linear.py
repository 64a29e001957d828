"""LinearOperator: the algebra keeps the contract, and the contract finds what breaks it."""

import pytest
import torch
from scanprior.operators.check import FAULTS, OperatorError, check_operator, measure
from scanprior.operators.linear import Identity
from toys import Dense, PerItem


def dense(m=7, n=5, is_complex=False, domain_complex=None, seed=0):
    dtype = torch.complex64 if is_complex else torch.float32
    matrix = torch.randn(m, n, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return Dense(matrix, domain_complex=is_complex if domain_complex is None else domain_complex)


OPERATORS = {
    "real": lambda: dense(),
    "complex": lambda: dense(is_complex=True),
    "real to complex": lambda: dense(is_complex=True, domain_complex=False),
    "identity": lambda: Identity((4, 6), is_complex=True),
    "adjoint": lambda: dense(is_complex=True).H,
    "adjoint of real to complex": lambda: dense(is_complex=True, domain_complex=False).H,
    "composition": lambda: dense(4, 7, is_complex=True, seed=1) @ dense(is_complex=True),
    "composition, complex on real": lambda: dense(4, 7, is_complex=True, seed=1) @ dense(),
    "sum": lambda: dense() + dense(seed=1),
    "sum, real and complex": lambda: dense() + dense(is_complex=True, domain_complex=False, seed=1),
    "scaled": lambda: -2.5 * dense(),
    "scaled by a complex number": lambda: (1.5 - 2j) * dense(),
    "weighted": lambda: dense() * torch.linspace(0.5, 2, 7),
    "weighted per item": lambda: dense() * torch.linspace(0.5, 2, 14).view(2, 7),
    "per item": lambda: PerItem(torch.tensor([1 + 2j, 3 - 1j])) @ PerItem(torch.tensor([2j, 1 + 0j])),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_contract(name, contract):
    contract(OPERATORS[name]())


def test_contract_finds_a_wrong_adjoint():
    class Wrong(Dense):
        def apply_adjoint(self, y):
            return 1.001 * super().apply_adjoint(y)

    with pytest.raises(
        OperatorError, match=r"(?s)^Wrong\(real \(5,\) -> real \(7,\)\) breaks .*dot = .*conjugate"
    ) as raised:
        check_operator(Wrong(dense().matrix))
    assert raised.value.defects["dot"] > 1e-5
    assert raised.value.defects["linear"] < 1e-6 and "linear =" not in str(raised.value)


def test_contract_finds_a_missing_conjugate():
    class Wrong(Dense):
        def apply_adjoint(self, y):
            return y @ self.matrix

    assert measure(Wrong(dense(is_complex=True).matrix, domain_complex=True))["dot"] > 1e-2


def test_contract_finds_an_offset():
    class Affine(Dense):
        def apply_forward(self, x):
            return super().apply_forward(x) + 1

    assert measure(Affine(dense().matrix))["linear"] > 1e-2


def test_contract_finds_batch_mates():
    class Coupled(Dense):
        def apply_adjoint(self, y):
            return super().apply_adjoint(y) + 1e-3 * super().apply_adjoint(y).mean(0, keepdim=True)

    assert measure(Coupled(dense().matrix))["items"] > 1e-4


def test_contract_finds_a_forgotten_repeat():
    class Forgets(PerItem):
        def repeat(self, n):
            return PerItem(self.factors.repeat(n))  # items in the wrong order

    assert measure(Forgets(torch.tensor([1 + 2j, 3 - 1j])))["repeat"] > 0.1


def test_contract_finds_a_lax_shape_check():
    class Lax(Identity):
        def _check(self, x, expected, is_complex, what):
            pass

    assert measure(Lax((4, 6)))["shapes"] > 0
    assert measure(Identity((4, 6)))["shapes"] == 0


def test_a_sound_operator_passes_and_every_defect_has_words():
    assert set(check_operator(dense())) == set(FAULTS)
    with pytest.raises(OperatorError, match="expected at most 1e-12"):
        check_operator(dense(), tolerance=1e-12)


def test_algebra_equals_the_matrices():
    A, B = dense(4, 7, is_complex=True, seed=1), dense(is_complex=True)
    x = torch.randn(3, 5, dtype=torch.complex64, generator=torch.Generator().manual_seed(2))
    y = torch.randn(3, 4, dtype=torch.complex64, generator=torch.Generator().manual_seed(3))
    product = A.matrix @ B.matrix
    torch.testing.assert_close((A @ B)(x), x @ product.T)
    torch.testing.assert_close((A @ B).H(y), y @ product.conj())
    torch.testing.assert_close((2j * A).H(y), -2j * (y @ A.matrix.conj()))
    torch.testing.assert_close((A @ B).normal(x), x @ (product.conj().T @ product).T)
    assert A.H.H is A
    assert torch.equal(A @ B(x), A(B(x)))


def test_real_loss_through_a_complex_operator_has_a_real_gradient():
    A = dense(is_complex=True, domain_complex=False)
    x = torch.randn(2, 5, generator=torch.Generator().manual_seed(1), requires_grad=True)
    y = torch.randn(2, 7, dtype=torch.complex64, generator=torch.Generator().manual_seed(2))
    (gradient,) = torch.autograd.grad(0.5 * (A(x) - y).abs().square().sum(), x)
    expected = (x.to(torch.complex64) @ A.matrix.T - y) @ A.matrix.conj()
    assert gradient.dtype == torch.float32
    torch.testing.assert_close(gradient, expected.real)


def test_refusals_say_what_to_do():
    A = dense()
    with pytest.raises(ValueError, match=r"got an image of shape \(5,\), expected \(batch, 5\)"):
        A(torch.zeros(5))
    with pytest.raises(ValueError, match="got a measurement of shape"):
        A.adjoint(torch.zeros(2, 8))
    with pytest.raises(ValueError, match="complex data for an image of a real operator"):
        A(torch.zeros(2, 5, dtype=torch.complex64))
    with pytest.raises(ValueError, match="cannot compose"):
        dense() @ dense()
    with pytest.raises(ValueError, match="cannot compose"):
        dense(4, 7) @ dense(is_complex=True)
    with pytest.raises(ValueError, match="cannot add"):
        dense() + dense(6)
    with pytest.raises(ValueError, match="cannot add"):
        dense() + dense(is_complex=True)


def test_device_and_buffers_travel():
    A = (2 * dense()) @ Identity((5,))
    assert A.device == torch.device("cpu")
    assert A.to("meta").device == torch.device("meta")
