"""Order 1/width of composed networks, from one rule per layer kind.

A rule, one layer kind a file in `rules/` (imported by name, so that a new file registers itself):

    @FIRST_ORDER.rule(Kind)
    def _rule(layer: Kind, state: State, shape: Shape, depth: int, path: str, tape: Tape) -> State

- k rows, (input, position) with positions innermost. `shape` is the layer's input, `depth` the
  network's, `path` names the layer in refusals (`refuse`).
- States: `Settled(gram, mean)`, products and means over neurons; `Pending(variance, width, law)`,
  independent columns with Gaussian variables of covariance R = variance, nothing averaged yet.
  Vectors of p = k (k + 1) / 2 entries a <= b: `matrix_of`, `vector_of`.
- A random linear map makes a Pending; layers of neurons change its `ColumnLaw` (`require_pending`
  refuses settled rows, whose columns depend on each other); the rest starts with
  `settle(state, tape)` and is a map of gram and mean in jax.numpy.
- A norm over rows (batch, group) stays in the law: `normed`; columns of a group are averaged
  together, which `require_pending` refuses unless `in_groups`.
- The only randomness is `tape.average(Terms(mean, covariance, units, ...))`. The
  mean is differentiated twice, the covariance never. Moments that automatic differentiation gets
  wrong or slowly (kinks, quadrature) go through `tape.jet(compute)` and
  `polynomial(at, value, gradient, hessian)`; errors of quadratures to `tape.note(error)`.
- `apply(layer, ...)` runs a part of a layer; layers without a rule use `core.layers.expanded`.
- `flow` pushes states with mean shift, covariance and the second order of the variance through one
  layer at a time: every site has all functions of its rows from one pass.
"""

from deepinit.theory.layers.expansion import FirstOrder, check, first_order

__all__ = ["FirstOrder", "check", "first_order"]
