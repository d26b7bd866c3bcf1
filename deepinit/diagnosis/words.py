"""Words of the screen, explained: causes, scores, changes."""

from deepinit.core import validate
from deepinit.diagnosis.interventions import INTERVENTIONS

CAUSES = {
    "collapse": "Inputs become alike with depth: ln sin^2 of their angles falls by more than 2. "
    "The readout then sees one vector for every input. Ordered phase (chi_perp < 1), or the slow "
    "alignment of ReLU layers.",
    "chaos": "Neighbouring inputs are pulled apart: ln distance^2 grows by more than 2, relative "
    "to their size (chi_perp > 1). What is learned at one input says nothing about the next.",
    "vanishing": "ln |gradient|^2 at the first layer is more than 2 below that at the last: early "
    "layers learn more slowly. At infinite width it changes by the sum of ln chi_perp.",
    "exploding": "ln |gradient|^2 at the first layer is more than 2 above that at the last. At "
    "infinite width it changes by the sum of ln chi_perp.",
    "lottery": "Gradients differ between random networks: standard deviation of ln |gradient|^2 "
    "above 1. It grows as sqrt(depth/width), 5 depth/width in square for ReLU, whatever the "
    "variances: only residual branches, width or less depth reduce it.",
    "overflow": "Signals or gradients of some networks are not finite.",
    "underflow": "Signals or gradients of some networks are 0.",
    "rank": "The tokens of a sequence become parallel: mean cosine above 0.95 at the end.",
    "entropy": "Attention looks at one token: entropy below 2 % of that of uniform attention.",
}
SCORES = {
    "stretch": "ln of the growth of |J u|^2 relative to |f|^2, u differences of inputs; 0 is an "
    "isometry. Theory: infinite width.",
    "gradient_slope": "Mean over networks of ln |dL/dz^1|^2 - ln |dL/dz^L|^2. Theory: sum of ln "
    "chi at infinite width.",
    "gradient_spread": "Standard deviation over networks of ln |dL/dz^1|^2. Theory: order 1/width, "
    "at one input; a batch spreads less. 0 at infinite width.",
    "first_step": "ln of the rms change of logits per rate along -sign(gradient), Adam's first "
    "step. exp(-first_step) is the rate that moves a logit by 1.",
    "forward_range": "Largest |ln rms| of a layer.",
    "gradient_floor": "ln rms of the gradient of the first matrix; Adam's epsilon is ln 1e-8 = "
    "-18.4.",
    "token_cosine": "Mean cosine between the tokens of a sequence at the end.",
    "attention_entropy": "Least over blocks of the entropy of attention over that of uniform "
    "attention.",
    "ntk_condition": "ln lambda_max/lambda_min of the tangent kernel of a random output direction.",
    "ntk_centred": "Share of the trace of the tangent kernel that is left after centring.",
    "signal_efficiency": "Decrease of the loss on other inputs per rms change of logits, of the "
    "first step. Needs labels.",
}
OTHERS = {
    "share": "Share of the study's networks with such scores that came 3/4 of the way from the "
    "best constant answer to a linear model in 400 steps of Adam, at the best of five rates; moved "
    "into the 95 % range observed. Not a promise about one network.",
    "trained": "--train-steps N: Adam at five rates from three seeds, batches of 32 rows; the loss "
    "is that of the last 10 steps at the best rate, and the way goes from the best constant answer "
    "to a linear model after 400 steps. After 50 steps it ranks the study's networks better than "
    "every score. The verdict and the exit code are those of the scores.",
    "exit": "0 trains (share >= 0.75), 10 fails (<= 0.25), 11 uncertain or outside the range of "
    "the study, 6 theory and simulation disagree. Not 1 to 5: they are errors of every command.",
    "theory": "infinite width: limit of wide networks at fixed depth. 1/width theory: first order "
    "in depth/width. measured, simulated: random networks of the given widths, float32.",
}
WORDS = {
    **CAUSES,
    **SCORES,
    **OTHERS,
    **{name: change.sentence for name, change in INTERVENTIONS.items()},
}


def explained(word: str) -> str:
    """A word of the screen in a few sentences. Raises SpecError: unknown words."""
    found = validate.choice("--explain", word.strip().lower().replace("-", "_"), tuple(WORDS))
    return f"{found}: {WORDS[found]}"
