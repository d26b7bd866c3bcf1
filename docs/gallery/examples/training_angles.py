"""Networks whose angles vanish do not train.

Accuracy of ReLU networks of 8 to 32 layers on 300 MNIST digits after 150 steps of Adam, against
the angle of orthogonal inputs that theory predicts at initialization {cite:p}`jakub2024depth`.
"""

import deepinit as di

data, points = di.targets.digits(300), {}
run = di.TrainingConfig(data, (150,), "adam", 1e-3, loss="cross_entropy")
for width in (16, 64):
    angles, rates, errors = [], [], []
    for depth in (8, 16, 32):
        spec = di.MLP((width,) * depth, "relu", output_width=10)
        found = di.simulate(di.network(spec), di.quantities.accuracy, run, num_seeds=4)
        angle = di.predict(spec, di.quantities.log_sin2_angle, di.inputs.pair(1.57))
        angles.append(angle.mean[depth - 1, 0])
        rates.append(found.mean[-1, 0]), errors.append(found.standard_error[-1, 0])
    points[f"width {width}"] = (angles, rates, errors)
labels = {"x_label": "predicted ln sin² of the angle", "y_label": "accuracy"}
fig = di.plots.series(points, **labels, title="Accuracy and angles")
