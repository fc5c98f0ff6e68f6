from .ens_loss import EnsLoss as EnsLoss
from .ens_loss import margin_derivatives as margin_derivatives
