"""Early training: small networks, optimizers and flows.

`training_seed_fn(network, examples, ...)` is a seed function for `ensembles`;
`observables.orientations` measures the recorded weights.
"""

from deepinit.core.training_config import MODES as MODES
from deepinit.training.antisymmetric import antisymmetric as antisymmetric
from deepinit.training.loop import Records as Records
from deepinit.training.loop import Snapshot as Snapshot
from deepinit.training.loop import training_seed_fn as training_seed_fn
from deepinit.training.neurons import hidden_layers as hidden_layers
from deepinit.training.neurons import layer_vectors as layer_vectors
from deepinit.training.optimizers import adam as adam
from deepinit.training.options import log_spaced_steps as log_spaced_steps
from deepinit.training.perceptrons import perceptron as perceptron
from deepinit.training.perceptrons import small_mlp as small_mlp
from deepinit.training.perceptrons import with_sign_outputs as with_sign_outputs
