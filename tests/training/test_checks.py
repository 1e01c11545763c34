"""Checks of the options that shard a batch and save memory."""

import pytest

from serjax import training
from serjax.errors import InputError


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"parallel": "pmpa"}, "unknown parallel 'pmpa': did you mean 'pmap'"),
        ({"remat": "dot"}, "unknown remat 'dot': did you mean 'dots'"),
        ({"accumulate": 0}, "accumulate: expected at least 1, found 0"),
        ({"model": "svm", "accumulate": 2}, "accumulate: expected none with svm, found 2"),
    ],
)
def test_wrong_options_are_refused(fields, message):
    with pytest.raises(InputError, match=message):
        training.check_config(training.RunConfig.make(**fields))
