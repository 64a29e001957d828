from .formats.read import read as read
from .pretrained.load import load_prior as load_prior
from .recon.posterior.dds import DDS as DDS
from .recon.posterior.projection import Projection as Projection
from .recon.problem import Problem as Problem
from .recon.study import problem_of as problem_of
from .workflows.benchmark.results import benchmark as benchmark
from .workflows.calibrate import calibrate as calibrate
from .workflows.tune import tune as tune
from .workflows.data import example as example
from .workflows.evaluate import evaluate as evaluate
from .workflows.lesion_rows import Insertion as Insertion
from .workflows.lesions import lesions as lesions
from .workflows.likelihood import likelihood as likelihood
from .workflows.prepare import prepare as prepare
from .workflows.reconstruct import reconstruct as reconstruct
from .workflows.sample import sample as sample
from .workflows.settings import EvaluateSettings as EvaluateSettings
from .workflows.settings import PrepareSettings as PrepareSettings
from .workflows.settings import SampleSettings as SampleSettings
from .workflows.settings import Selection as Selection
from .workflows.settings import TrainSettings as TrainSettings
from .workflows.simulate import simulate as simulate
from .workflows.supervised import train_supervised as train_supervised
from .workflows.train import train as train

__version__: str
