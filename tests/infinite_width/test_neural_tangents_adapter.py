import subprocess
import sys
import textwrap
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepinit.core.errors import ResourceError
from deepinit.infinite_width.neural_tangents import neural_tangents, require_structured_derivatives
from deepinit.infinite_width.precision import host_float64


def _in_a_fresh_process(program):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def nt():
    return neural_tangents()


@pytest.fixture(scope="module")
def convolutional(nt):
    stax = nt.stax
    layers = (
        stax.Conv(3, (2, 2)),
        stax.Relu(),
        stax.Flatten(),
        stax.Dense(4),
        stax.Erf(),
        stax.Dense(2),
    )
    init_fn, apply_fn, kernel_fn = stax.serial(*layers)
    x = jax.random.normal(jax.random.key(0), (3, 3, 3, 2))
    return apply_fn, kernel_fn, init_fn(jax.random.PRNGKey(1), x.shape)[1], x


@pytest.mark.slow
def test_loading_leaves_jax_as_it_was_and_imports_no_tensorflow():
    _in_a_fresh_process("""
        import sys
        import jax, jax.core, jax.extend.core, jax.extend.source_info_util
        from jax.interpreters import ad

        names = lambda: (dir(jax), dir(jax.core), dir(ad), "jax.util" in sys.modules)
        before = names()
        import deepinit.infinite_width.neural_tangents as adapter
        assert "neural_tangents" not in sys.modules
        package = adapter.neural_tangents()
        assert package.__version__.startswith("0.6") and adapter.neural_tangents() is package
        loaded = {name.split(".")[0] for name in sys.modules}
        assert not loaded & {"tensorflow", "tf2jax", "tests", "examples"}, loaded
        pairs = [(old, now) for old, now in zip(before, names()) if isinstance(now, list)]
        changed = {new for old, now in pairs for new in set(old) ^ set(now)}
        # importing neural-tangents imports public submodules of jax, then attributes of it
        changed -= {name for name in changed if "jax." + name in sys.modules}
        assert not changed and before[3] == names()[3], changed
    """)


def test_importing_the_package_needs_no_jax():
    _in_a_fresh_process("""
        import sys
        import deepinit.infinite_width, deepinit.infinite_width.kernels
        import deepinit.infinite_width.recursion, deepinit.infinite_width.angles
        import deepinit.infinite_width.empirical
        assert "jax" not in sys.modules and "neural_tangents" not in sys.modules
    """)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_without_the_package_the_error_says_what_still_works():
    _in_a_fresh_process("""
        import sys
        sys.modules["neural_tangents"] = None  # how Python marks a package that cannot be imported
        import numpy as np
        from deepinit.core import inputs
        from deepinit.core.specs import MLP
        from deepinit.core.errors import ResourceError
        from deepinit.infinite_width.angles import log_sin2_angles
        from deepinit.infinite_width.kernels import nngp_and_ntk
        from deepinit.infinite_width.recursion import kernel_layers
        net = MLP(widths=(4, 4))
        try:
            nngp_and_ntk(net, np.eye(2))
        except ResourceError as error:
            for words in ("no neural-tangents", "0.6.5", "jax 0.5.3 to 0.12", "do without it"):
                assert words in str(error), error
        else:
            raise AssertionError("no error")
        assert kernel_layers(net, np.eye(2)).ntk.shape == (2, 2, 2)
        assert log_sin2_angles(net, inputs.pair(0.1)).shape == (2, 1)
    """)


@pytest.mark.slow
def test_a_jax_that_breaks_the_import_is_named_and_nothing_half_imported_stays():
    _in_a_fresh_process("""
        import sys
        import jax.extend.core
        del jax.extend.core.Jaxpr
        from deepinit.core.errors import ResourceError
        from deepinit.infinite_width.neural_tangents import neural_tangents
        for _ in range(2):  # the second attempt must fail for the same reason
            try:
                neural_tangents()
            except ResourceError as error:
                here = f"jax {jax.__version__}"
                for words in (here, "Jaxpr", "0.6.5", "jax 0.5.3 to 0.12", "do without it"):
                    assert words in str(error), error
            else:
                raise AssertionError("no error")
            assert not [name for name in sys.modules if name.startswith("neural_tangents")]
        assert not hasattr(jax.core, "Primitive") and "jax.util" not in sys.modules
    """)


def test_another_version_is_refused(monkeypatch):
    other = types.ModuleType("neural_tangents")
    other.__version__ = "0.6.4"
    monkeypatch.setitem(sys.modules, "neural_tangents", other)
    with pytest.raises(ResourceError, match=r"neural-tangents 0\.6\.4.*0\.6\.5.*do without it"):
        neural_tangents()


@pytest.mark.slow
def test_structured_derivatives_that_fail_are_reported(nt, monkeypatch):
    require_structured_derivatives.cache_clear()
    empirical = sys.modules["neural_tangents._src.empirical"]
    monkeypatch.setattr(empirical, "_backward_pass", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ResourceError, match=r"structured derivatives.*do without it"):
        require_structured_derivatives()
    monkeypatch.undo()
    require_structured_derivatives()


@pytest.mark.parametrize(
    ("name", "vmap_axes"),
    [
        ("JACOBIAN_CONTRACTION", 0),
        ("NTK_VECTOR_PRODUCTS", 0),
        ("STRUCTURED_DERIVATIVES", 0),
        ("STRUCTURED_DERIVATIVES", None),
        pytest.param("AUTO", 0, marks=pytest.mark.slow),
    ],
)
@pytest.mark.slow_cases("NTK_VECTOR_PRODUCTS-0")
@pytest.mark.exhaustive_cases(
    "AUTO-0", "JACOBIAN_CONTRACTION-0", "STRUCTURED_DERIVATIVES-0", "STRUCTURED_DERIVATIVES-None"
)
@pytest.mark.exhaustive_cases("NTK_VECTOR_PRODUCTS-0")
def test_every_empirical_ntk_is_the_product_of_jacobians(
    nt, convolutional, name, vmap_axes, capsys
):
    apply_fn, _, params, x = convolutional
    ntk_fn = nt.empirical_ntk_fn(
        apply_fn, implementation=nt.NtkImplementation[name], trace_axes=(), vmap_axes=vmap_axes
    )
    other = x[:2] + 0.5
    ntk = (ntk_fn if name == "AUTO" else jax.jit(ntk_fn))(x, other, params)

    @jax.jit
    def jacobian(rows):
        leaves = jax.tree_util.tree_leaves(jax.jacobian(apply_fn)(params, rows))
        return jnp.concatenate([leaf.reshape(*leaf.shape[:2], -1) for leaf in leaves], -1)

    expected = jnp.einsum("iap,jbp->ijab", jacobian(x), jacobian(other))
    np.testing.assert_allclose(ntk, expected, rtol=2e-5, atol=2e-5)
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_structured_derivatives_handle_outputs_without_parameters_and_repeated_use(nt):
    def apply_fn(params, x):
        shared, bias = params
        return jnp.stack(
            [jnp.tanh(x @ shared) @ shared + bias, jnp.ones_like(bias) * jnp.sum(x, 1)[:, None]], -1
        )

    params = (jax.random.normal(jax.random.key(0), (3, 3)), jnp.zeros(3))
    x = jax.random.normal(jax.random.key(1), (2, 3))
    kernels = [
        jax.jit(
            nt.empirical_ntk_fn(apply_fn, trace_axes=(), implementation=nt.NtkImplementation[name]),
            static_argnums=1,
        )(x, None, params)
        for name in ("JACOBIAN_CONTRACTION", "STRUCTURED_DERIVATIVES")
    ]
    np.testing.assert_allclose(*kernels, rtol=1e-5, atol=1e-5)
    assert np.abs(kernels[0]).max() > 1.0


@pytest.mark.parametrize(("rules", "forward"), [(True, True), (False, True), (False, False)])
@pytest.mark.slow
def test_the_generic_derivatives_of_an_equation_agree(nt, convolutional, rules, forward):
    apply_fn, _, params, x = convolutional
    names = nt.NtkImplementation
    plain = nt.empirical_ntk_fn(apply_fn, implementation=names.NTK_VECTOR_PRODUCTS, vmap_axes=0)
    other = nt.empirical_ntk_fn(
        apply_fn,
        implementation=names.STRUCTURED_DERIVATIVES,
        vmap_axes=0,
        _j_rules=rules,
        _fwd=forward,
    )
    kernels = [jax.jit(fn, static_argnums=1)(x, None, params) for fn in (plain, other)]
    np.testing.assert_allclose(*kernels, rtol=2e-5, atol=2e-5)


@pytest.mark.slow
def test_structured_derivatives_under_jit_and_vmap(nt):
    fn = nt.empirical_ntk_fn(
        lambda p, x: jnp.tanh(x @ p),
        implementation=nt.NtkImplementation.STRUCTURED_DERIVATIVES,
        trace_axes=(),
    )
    weights = jax.random.normal(jax.random.key(0), (3, 2, 2))
    x = jax.random.normal(jax.random.key(1), (2, 2))
    many = jax.jit(jax.vmap(lambda p: fn(x, None, p)))(weights)
    np.testing.assert_allclose(many[2], fn(x, None, weights[2]), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_batched_kernels_equal_unbatched_ones(nt, convolutional):
    _, kernel_fn, _, x = convolutional
    rows = jnp.concatenate([x, 2.0 * x[:1]])
    whole, batched = (
        kernel_fn(rows, None, "ntk"),
        nt.batch(kernel_fn, batch_size=2)(rows, None, "ntk"),
    )
    np.testing.assert_allclose(whole, batched, rtol=1e-4)


@pytest.mark.exhaustive
def test_training_dynamics_interpolate_between_the_start_and_the_gaussian_process_limit(nt):
    with host_float64():
        _, _, kernel_fn = nt.stax.serial(nt.stax.Dense(1), nt.stax.Relu(), nt.stax.Dense(1))
        rows = jnp.asarray(np.random.default_rng(0).standard_normal((5, 3)))
        train, test, targets = rows[:3], rows[3:], rows[:3, :1]
        k_train, k_test = kernel_fn(train, None, "ntk"), kernel_fn(test, train, "ntk")
        predict_fn = nt.predict.gradient_descent_mse(k_train, targets)
        limit = k_test @ jnp.linalg.solve(k_train, targets)
        np.testing.assert_allclose(predict_fn(None, 0.0, 0.0, k_test)[1], limit, rtol=1e-10)
        late = predict_fn(1e6, jnp.zeros((3, 1)), jnp.zeros((2, 1)), k_test)[1]
        np.testing.assert_allclose(late, limit, rtol=1e-6)
        rotation, rates = jnp.linalg.eigh(k_train)[::-1]
        early = (
            k_test
            @ rotation
            @ jnp.diag(-jnp.expm1(-0.7 * rates / 3) / rates)
            @ rotation.T
            @ targets
        )
        closed = predict_fn(0.7, jnp.zeros((3, 1)), jnp.zeros((2, 1)), k_test)[1]
        np.testing.assert_allclose(closed, early, rtol=1e-9)
        integrated_fn = nt.predict.gradient_descent(
            lambda f, y: 0.5 * jnp.mean((f - y) ** 2), k_train, targets
        )
        integrated = integrated_fn(0.7, jnp.zeros((3, 1)), jnp.zeros((2, 1)), k_test)[1]
        np.testing.assert_allclose(integrated, closed, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_training_dynamics_under_vmap(nt):
    k_train = jnp.asarray([[[2.0, 0.5], [0.5, 1.0]], [[3.0, 0.1], [0.1, 2.0]]])
    targets = jnp.asarray([[1.0], [-1.0]])

    def trained(kernel):
        return nt.predict.gradient_descent_mse(kernel, targets)(1.0, jnp.zeros((2, 1)))

    np.testing.assert_allclose(jax.vmap(trained)(k_train)[1], trained(k_train[1]), rtol=1e-5)


@pytest.mark.parametrize("array", [np.asarray, jnp.asarray])
def test_largest_learning_rate_is_two_over_the_largest_eigenvalue(nt, array):
    kernel = array(np.diag([1.0, 2.0, 4.0]))
    rate = nt.predict.max_learning_rate(kernel, y_train_size=3)
    assert float(rate) == pytest.approx(2.0 * 3.0 / (4.0 + 1e-12), rel=1e-6)
