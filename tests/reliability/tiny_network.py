"""A network that is traced in a moment, for runs that are killed hundreds of times."""

import flax.linen as nn

from serjax import models


@models.register("tiny")
class Tiny(nn.Module):
    num_classes: int

    @nn.compact
    def __call__(self, x, train=False, mask=None):
        pooled = nn.relu(nn.Dense(4, name="conv1")(x.mean(1).reshape(x.shape[0], -1)))
        return nn.Dense(self.num_classes, name="head")(pooled), {"conv1": pooled[:, None, None]}
