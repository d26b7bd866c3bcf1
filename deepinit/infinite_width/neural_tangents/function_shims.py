"""Functions of neural-tangents that fail on newer JAX, on documented JAX.

Pullback as a transposed linear program: `jax.linearize`, `jax.make_jaxpr`. Derivatives of one
equation: `jax.linear_transpose`, `jax.jvp`. Cotangents without checks on removed abstract values.
`cost_analysis()` is a dict, formerly a list. `jax.core.eval_context` (fails under vmap):
`jax.ensure_compile_time_eval`. scipy's `eigvals=`: `subset_by_index=`. Deprecated
`jnp.dtype(array)`, `jnp.size(shape-only value)`: read from the value.
"""

import functools
import importlib
import inspect
import math
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np


def replace_broken_functions() -> None:
    """Rebind the broken globals of neural-tangents' modules."""
    empirical: Any
    predict: Any
    empirical, predict = (
        importlib.import_module(f"neural_tangents._src.{name}") for name in ("empirical", "predict")
    )
    for name, replacement in {
        "_get_primals_out_and_pullback": functools.partial(_primals_out_and_pullback, empirical),
        "_eqn_vjp_fn": _equation_vjp,
        "_eqn_jvp_fn": _equation_jvp,
        "_write_cotangent": _write_cotangent,
        "_read_primal": _read_primal,
        "_get_flops": _operation_count,
        "ad": _Overlay(
            empirical.ad, source_info_util=importlib.import_module("jax.extend.source_info_util")
        ),
        "jnp": _Overlay(empirical.jnp, dtype=_dtype, size=_size),
    }.items():
        if not isinstance(getattr(empirical, name), _Overlay):  # AttributeError: another package
            setattr(empirical, name, replacement)
    empirical.print = lambda *_: None  # AUTO prints the operation counts of its candidates
    if not isinstance(predict.jax, _Overlay):
        core = _Overlay(predict.jax.core, eval_context=predict.jax.ensure_compile_time_eval)
        predict.jax = _Overlay(predict.jax, core=core)
    if not isinstance(predict.sp, _Overlay):
        scipy_linalg = importlib.import_module("scipy.linalg")
        if "eigvals" not in inspect.signature(scipy_linalg.eigvalsh).parameters:
            predict.sp = _Overlay(predict.sp, linalg=_Overlay(scipy_linalg, eigvalsh=_eigvalsh))


class _Overlay(SimpleNamespace):
    """A module with some attributes replaced."""

    def __init__(self, module: ModuleType, **replaced: Any):
        super().__init__(**replaced)
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def _primals_out_and_pullback(empirical, fn, mode, _j_rules, _s_rules, _fwd, *primals_in):
    """fn's value and pullback, collecting `mode`."""
    import jax
    from jax.interpreters.ad import UndefinedPrimal

    leaves_in, in_tree = jax.tree_util.tree_flatten(primals_in)
    out_tree = None

    def flat_fn(*leaves):
        nonlocal out_tree
        leaves_out, out_tree = jax.tree_util.tree_flatten(
            fn(*jax.tree_util.tree_unflatten(in_tree, leaves))
        )
        return leaves_out

    with jax.disable_jit():  # so that the program is flat: no nested jit, scan or conditional
        leaves_out, linear_fn = jax.linearize(flat_fn, *leaves_in)
        program = _with_single_outputs(jax.make_jaxpr(linear_fn)(*leaves_in), leaves_in)

    def pullback(*cotangents):
        collected = empirical._backward_pass(
            program.jaxpr,
            mode=mode,
            consts=program.consts,
            primals_in=[UndefinedPrimal(variable.aval) for variable in program.jaxpr.invars],
            cotangents_in=tuple(jax.tree_util.tree_leaves(cotangents)),
            _j_rules=_j_rules,
            _s_rules=_s_rules,
            _fwd=_fwd,
        )
        return jax.tree_util.tree_unflatten(in_tree, collected)

    return jax.tree_util.tree_unflatten(out_tree, leaves_out), pullback


_SEVERAL_OUTPUTS = ("split", "unstack")


def _with_single_outputs(program, inputs):
    """The program with split and unstack as slices."""
    import jax
    from jax.extend.core import Literal

    if not any(equation.primitive.name in _SEVERAL_OUTPUTS for equation in program.jaxpr.eqns):
        return program
    read = {
        variable
        for equation in program.jaxpr.eqns
        for variable in equation.invars
        if not isinstance(variable, Literal)
    }
    read |= {variable for variable in program.jaxpr.outvars if not isinstance(variable, Literal)}

    def traced(*arguments):
        known = dict(zip(program.jaxpr.constvars, program.consts, strict=True))
        known |= dict(zip(program.jaxpr.invars, arguments, strict=True))

        def value(variable):
            return variable.val if isinstance(variable, Literal) else known[variable]

        for equation in program.jaxpr.eqns:
            values = [value(variable) for variable in equation.invars]
            if equation.primitive.name in _SEVERAL_OUTPUTS:
                wanted = [variable in read for variable in equation.outvars]
                known |= zip(equation.outvars, _slices(equation, values[0], wanted), strict=True)
                continue
            parameters = equation.primitive.get_bind_params(equation.params)
            leading, parameters = parameters if isinstance(parameters, tuple) else ((), parameters)
            out = equation.primitive.bind(*leading, *values, **parameters)
            known |= zip(
                equation.outvars, out if equation.primitive.multiple_results else [out], strict=True
            )
        return [value(variable) for variable in program.jaxpr.outvars]

    return jax.make_jaxpr(traced)(*inputs)


def _slices(equation, operand, wanted):
    """The wanted outputs of split or unstack, else None."""
    import jax

    axis, start, outs = equation.params["axis"], 0, []
    is_split = equation.primitive.name == "split"
    for variable, is_wanted in zip(equation.outvars, wanted, strict=True):
        size = variable.aval.shape[axis] if is_split else 1
        part = jax.lax.slice_in_dim(operand, start, start + size, axis=axis) if is_wanted else None
        outs.append(
            part if is_split or part is None else jax.lax.reshape(part, variable.aval.shape)
        )
        start += size
    return outs


def _bind(equation, *values):
    """The equation's single output."""
    parameters = equation.primitive.get_bind_params(equation.params)
    leading, parameters = parameters if isinstance(parameters, tuple) else ((), parameters)
    out = equation.primitive.bind(*leading, *values, **parameters)
    return out[0] if equation.primitive.multiple_results else out


def _equation_vjp(equation, cotangent, *values):
    """Cotangents of the unknown inputs; else None."""
    import jax
    from jax.interpreters.ad import UndefinedPrimal, Zero

    if equation is None:  # the identity
        return (cotangent,)
    if isinstance(cotangent, Zero):
        return [Zero(variable.aval) for variable in equation.invars]
    unknown = [index for index, value in enumerate(values) if isinstance(value, UndefinedPrimal)]
    known = [None if index in unknown else _concrete(value) for index, value in enumerate(values)]

    def of_unknown(*arguments):
        filled = list(known)
        for index, argument in zip(unknown, arguments, strict=True):
            filled[index] = argument
        return _bind(equation, *filled)

    shapes = [
        jax.ShapeDtypeStruct(values[index].aval.shape, values[index].aval.dtype)
        for index in unknown
    ]
    cotangents_out: list[Any] = [None] * len(values)
    for index, out in zip(
        unknown, jax.linear_transpose(of_unknown, *shapes)(cotangent), strict=True
    ):
        cotangents_out[index] = out
    return cotangents_out


def _equation_jvp(equation, index, tangent, *values):
    """Derivative in input `index`, along `tangent`."""
    import jax
    import jax.numpy as jnp

    if equation is None:  # the identity
        return tangent
    filled = [_concrete(value) for value in values]
    # The equation is linear in this input: its value does not matter.
    origin = jnp.zeros(values[index].aval.shape, values[index].aval.dtype)

    def of_one(argument):
        return _bind(equation, *filled[:index], argument, *filled[index + 1 :])

    return jax.jvp(of_one, (origin,), (tangent,))[1]


def _concrete(value):
    """An array; zeros for a mere shape."""
    import jax.numpy as jnp
    from jax.core import ShapedArray
    from jax.interpreters.ad import UndefinedPrimal

    aval: Any = value.aval if isinstance(value, UndefinedPrimal) else value
    return jnp.zeros(aval.shape, aval.dtype) if isinstance(aval, ShapedArray) else value


def _write_cotangent(primitive, cotangents, variable, cotangent):
    from jax.extend.core import Literal
    from jax.interpreters.ad import Zero

    if cotangent is None or isinstance(variable, Literal) or isinstance(cotangent, Zero):
        return
    cotangents[variable] = cotangents[variable] + cotangent if variable in cotangents else cotangent


def _read_primal(known, variable):
    from jax.extend.core import Literal
    from jax.interpreters.ad import UndefinedPrimal

    if isinstance(variable, Literal):
        aval: Any = variable.aval
        return (
            variable.val if hasattr(variable.val, "dtype") else np.asarray(variable.val, aval.dtype)
        )
    return known.get(variable, UndefinedPrimal(variable.aval))


def _operation_count(fn, optimize, *args, **kwargs) -> float:
    """Compiler's estimate of floating-point operations, or 0."""
    import jax

    lowered = jax.jit(fn).lower(*args, **kwargs)
    analysis = (lowered.compile() if optimize else lowered).cost_analysis()
    if isinstance(analysis, list):
        analysis = analysis[0]
    return float((analysis or {}).get("flops", 0.0))


def _dtype(value):
    import jax.numpy as jnp

    return value.dtype if hasattr(value, "dtype") else jnp.dtype(value)


def _size(value) -> int:
    return math.prod(np.shape(value) if not hasattr(value, "shape") else value.shape)


def _eigvalsh(matrix, *args, eigvals=None, **kwargs):
    import scipy.linalg

    if eigvals is not None:
        kwargs["subset_by_index"] = list(eigvals)
    return scipy.linalg.eigvalsh(matrix, *args, **kwargs)
