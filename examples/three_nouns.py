"""An operator says what the scanner does, a prior says what scans look like, a method joins the two."""

import torch
from scanprior import DDS, Problem, load_prior, read
from scanprior.formats import example_ct
from scanprior.geometry import Grid, ParallelBeam
from scanprior.operators import MU_WATER, Photon, Radon, mu_from_hu

image = read(example_ct())  # a CT slice that comes with pydicom, in HU
x = torch.from_numpy(mu_from_hu(image.data)).clamp(min=0)  # (1, 128, 128), in 1/mm

# Operator: 23 views of parallel rays, 100 000 photons each.
grid = Grid((128, 128), image.spacing[1])
A = Radon(ParallelBeam.covering(grid, views=23), grid)
noise = Photon(1e5)
y = noise.sample(A(x), torch.Generator().manual_seed(0))

# Prior: a network that has learned what CT looks like.
prior = load_prior("ct-256")

# Method: four samples of what the patient may look like, given y.
result = DDS(steps=20)(Problem(y, A, noise), prior, samples=4, seed=0)

error = (result.mean - x).abs().mean() * 1000 / MU_WATER
spread = result.std.mean() * 1000 / MU_WATER
print(f"mean error {error:.0f} HU, spread of the samples {spread:.0f} HU, {result.seconds:.1f} s")
