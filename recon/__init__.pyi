from .baselines.methods import (
    CGLS as CGLS,
    FBP as FBP,
    SIRT as SIRT,
    AdmmTV as AdmmTV,
    Baseline as Baseline,
    CGSense as CGSense,
    FistaTV as FistaTV,
    L1Wavelet as L1Wavelet,
    TotalVariation as TotalVariation,
    ZeroFilled as ZeroFilled,
)
from .baselines.supervised import Supervised as Supervised
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
from .posterior.method import PosteriorMethod as PosteriorMethod
from .posterior.daps import DAPS as DAPS
from .posterior.ddnm import DDNM as DDNM
from .posterior.ddrm import DDRM as DDRM
from .posterior.dds import DDS as DDS
from .posterior.descent import Descent as Descent
from .posterior.diffpir import DiffPIR as DiffPIR
from .posterior.dps import DPS as DPS
from .posterior.draws import Draws as Draws
from .posterior.mcg import MCG as MCG
from .posterior.mmps import MMPS as MMPS
from .posterior.pigdm import PiGDM as PiGDM
from .posterior.pnpdm import PnPDM as PnPDM
from .posterior.projection import Projection as Projection
from .posterior.reddiff import REDdiff as REDdiff
from .posterior.score_sde import ScoreSDE as ScoreSDE
from .posterior.ula import ULA as ULA
from .problem import Problem as Problem, Reconstruction as Reconstruction
from .simulate import CTSimulation as CTSimulation, MRISimulation as MRISimulation, simulate as simulate
from .study import problem_of as problem_of
