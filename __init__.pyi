from .formats.read import read as read
from .pretrained.load import load_prior as load_prior
from .recon.posterior.dds import DDS as DDS
from .recon.posterior.projection import Projection as Projection
from .recon.problem import Problem as Problem
from .recon.study import problem_of as problem_of
from .workflows.benchmark.results import Selection as Selection, benchmark as benchmark
from .workflows.calibrate import calibrate as calibrate
from .workflows.tune import tune as tune
from .workflows.reconstruct import reconstruct as reconstruct
from .workflows.simulate import simulate as simulate

__version__: str
