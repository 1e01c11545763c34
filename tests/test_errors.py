"""Messages for unknown names."""

import pytest

from serjax.errors import InputError, unknown_name


def test_nearest_name_is_suggested():
    message = unknown_name("model", "VGG61", ["alexnet", "vgg16"])
    assert message == "unknown model 'VGG61': did you mean 'vgg16'? known are alexnet, vgg16"


def test_no_name_is_suggested_if_none_is_similar():
    assert unknown_name("model", "xyz", ["alexnet"]) == "unknown model 'xyz': known are alexnet"


@pytest.mark.parametrize("name", ["speaker-11", "xyz"])
def test_few_of_many_names_are_listed(name):
    message = unknown_name("speaker", name, [f"speaker-{i}" for i in range(10, 40)])
    assert "30 are known, such as " in message
    assert len(message.split("such as ")[1].split(", ")) == 5


def test_input_errors_are_value_errors():
    assert issubclass(InputError, ValueError)
