from .baselines.admm import AdmmTV as AdmmTV
from .baselines.cgls import CGLS as CGLS
from .baselines.compressed import L1Wavelet as L1Wavelet
from .baselines.compressed import TotalVariation as TotalVariation
from .baselines.fbp import FBP as FBP
from .baselines.method import Baseline as Baseline
from .baselines.sense import CGSense as CGSense
from .baselines.sirt import SIRT as SIRT
from .baselines.supervised import Supervised as Supervised
from .baselines.tv import FistaTV as FistaTV
from .baselines.zero_filled import ZeroFilled as ZeroFilled
from .lesions import Kind as Kind, Lesion as Lesion, insert as insert
from .methods import method_of as method_of
from .metrics import (
    bootstrap_interval as bootstrap_interval,
    nrmse as nrmse,
    psnr as psnr,
    ssim as ssim,
    vif as vif,
)
from .observer import (
    channelised_hotelling as channelised_hotelling,
    ideal_detectability as ideal_detectability,
)
from .posterior.ald import ALD as ALD
from .posterior.auto import Auto as Auto
from .posterior.daps import DAPS as DAPS
from .posterior.ddnm import DDNM as DDNM
from .posterior.ddrm import DDRM as DDRM
from .posterior.dds import DDS as DDS
from .posterior.descent import Descent as Descent
from .posterior.diffpir import DiffPIR as DiffPIR
from .posterior.dps import DPS as DPS
from .posterior.draws import Draws as Draws
from .posterior.mcg import MCG as MCG
from .posterior.method import PosteriorMethod as PosteriorMethod
from .posterior.mmps import MMPS as MMPS
from .posterior.pigdm import PiGDM as PiGDM
from .posterior.pnpdm import PnPDM as PnPDM
from .posterior.posed import Posed as Posed
from .posterior.projection import Projection as Projection
from .posterior.reddiff import REDdiff as REDdiff
from .posterior.score_sde import ScoreSDE as ScoreSDE
from .posterior.ula import ULA as ULA
from .problem import Problem as Problem, Reconstruction as Reconstruction
from .simulate import CTSimulation as CTSimulation, MRISimulation as MRISimulation, simulate as simulate
from .study import problem_of as problem_of
