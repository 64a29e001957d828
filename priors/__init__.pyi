from .analytic import GaussianPrior as GaussianPrior, MixturePrior as MixturePrior
from .intensity import (
    Attenuation as Attenuation,
    GreyLevels as GreyLevels,
    Intensity as Intensity,
    RobustMaximum as RobustMaximum,
)
from .published import PublishedPrior as PublishedPrior, noise_law as noise_law
from .sampling.loop import NoiseSource as NoiseSource
from .score import NetworkPrior as NetworkPrior, Prior as Prior, score as score
from .sde import SDE as SDE, VE as VE, VP as VP, SubVP as SubVP
from .subspace import SubspacePrior as SubspacePrior
from .supervised import SupervisedNetwork as SupervisedNetwork
from .train import TrainConfig as TrainConfig, Trainer as Trainer
