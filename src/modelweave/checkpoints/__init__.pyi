from ..engine.write_checkpoint import write_checkpoint as write_checkpoint
from .computed import ComputedTensor as ComputedTensor
from .tensors import Checkpoint as Checkpoint
from .tensors import TensorRef as TensorRef
