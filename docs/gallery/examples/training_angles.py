"""Networks whose angles vanish do not train.

Test accuracy of 24 architectures of 4 to 32 layers on two circles after 300 steps of Adam, against
the angle that the second-order theory predicts at initialization {cite:p}`jakub2024depth`.
"""

import deepinit as di

data, test, points = di.targets.two_circles(), di.targets.two_circles(60, inner=0.5), {}
run = di.TrainingConfig(data, (300,), mode="adam", rate=3e-3, loss="cross_entropy", test=test)
for width in (8, 16, 32):
    angles, rates, errors = [], [], []
    for depth in (4, 8, 16, 32):
        net = di.MLP((width,) * depth, "relu", output_width=2)
        found = di.simulate(net, di.quantities.accuracy, run, num_seeds=20)
        angle = di.predict(net, di.quantities.log_sin2_angle, di.inputs.pair(1.57))
        rates.append(found.mean[-1, 1]), errors.append(found.standard_error[-1, 1])
        angles.append(angle.mean[depth - 1, 0])
    points[f"width {width}"] = (angles, rates, errors)
labels = {"x_label": "predicted ln sin² of the angle", "y_label": "test accuracy"}
fig = di.plots.series(points, **labels, title="Accuracy and angles")
