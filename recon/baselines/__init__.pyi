from .admm import admm_tv as admm_tv
from .cgls import cgls as cgls
from .compressed import l1_wavelet as l1_wavelet, total_variation as total_variation
from .fbp import fbp as fbp
from .methods import (
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
from .sense import cg_sense as cg_sense
from .sirt import sirt as sirt
from .supervised import Supervised as Supervised
from .tv import fista_tv as fista_tv
from .zero_filled import zero_filled as zero_filled
