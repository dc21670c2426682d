"""The small table of the standard's attributes against the library's own."""

import json
import pkgutil

from highdicom import _standard_utils, base
from pydicom.dataset import Dataset

from neurosono.stream.study.standard import read_roots


def test_the_small_table_is_the_roots_of_the_librarys_own(objects: list[Dataset]) -> None:
    whole = pkgutil.get_data("highdicom", "_standard/module_attribute_map.json")
    assert whole is not None
    roots = {
        module: [each for each in attributes if not each["path"]]
        for module, attributes in json.loads(whole).items()
    }
    assert read_roots() == roots
    assert objects, "made by it"
    for module in (_standard_utils, base):
        assert module.get_module_attribute_map is read_roots
