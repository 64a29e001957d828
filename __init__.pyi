from .formats.read import read as read
from .pretrained.load import load_prior as load_prior
from .recon.posterior.dds import DDS as DDS
from .recon.posterior.projection import Projection as Projection
from .recon.problem import Problem as Problem
from .recon.study import problem_of as problem_of
from .workflows.benchmark.results import Selection as Selection, benchmark as benchmark
from .workflows.calibrate import calibrate as calibrate
from .workflows.tune import tune as tune
from .workflows.data import example as example
from .workflows.evaluate import EvaluateSettings as EvaluateSettings
from .workflows.evaluate import evaluate as evaluate
from .workflows.likelihood import likelihood as likelihood
from .workflows.prepare import prepare as prepare
from .workflows.reconstruct import reconstruct as reconstruct
from .workflows.sample import SampleSettings as SampleSettings
from .workflows.sample import sample as sample
from .workflows.series import PrepareSettings as PrepareSettings
from .workflows.simulate import simulate as simulate
from .workflows.supervised import train_supervised as train_supervised
from .workflows.train import train as train
from .workflows.train_folder import TrainSettings as TrainSettings

__version__: str
