from .attenuation import MU_WATER as MU_WATER, hu_from_mu as hu_from_mu, mu_from_hu as mu_from_hu
from .check import OperatorError as OperatorError, check_operator as check_operator
from .coils import Coils as Coils, espirit_maps as espirit_maps, smooth_maps as smooth_maps
from .fourier import Fourier as Fourier, Sampling as Sampling, fft2c as fft2c, ifft2c as ifft2c
from .linear import Identity as Identity, LinearOperator as LinearOperator
from .mri import (
    CartesianMRI as CartesianMRI,
    cartesian_mri as cartesian_mri,
    sigma_for_snr as sigma_for_snr,
    simulate_kspace as simulate_kspace,
)
from .noise import ComplexGaussian as ComplexGaussian, Gaussian as Gaussian, Photon as Photon
from .pixel import Colorization as Colorization, Downsampling as Downsampling, Inpainting as Inpainting
from .radon import Radon as Radon, simulate_sinogram as simulate_sinogram
from .radon_astra import RadonAstra as RadonAstra
from .radon_sparse import RadonSparse as RadonSparse
from .sampling import (
    equispaced as equispaced,
    gaussian_2d as gaussian_2d,
    gaussian_lines as gaussian_lines,
    poisson_disc as poisson_disc,
    radial as radial,
    random_lines as random_lines,
)
from .solve import conjugate_gradients as conjugate_gradients
