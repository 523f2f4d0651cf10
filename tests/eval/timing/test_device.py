import pytest

from eval.timing.device import about_device, measured_peak, published_peak, use
from model.errors import InputError


@pytest.mark.parametrize(
    ("kind", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H100 NVL", 835e12),
        ("NVIDIA H200", 989e12),
        ("NVIDIA L4", 121e12),
        ("NVIDIA L40S", None),
        ("NVIDIA A100-SXM4-40GB", 312e12),
        ("TPU v5 lite", 197e12),
        ("TPU v5p", 459e12),
        ("TPU v6 lite", 918e12),
        ("cpu", None),
    ],
)
def test_the_published_peak_of_a_device_is_found_by_its_name(kind, peak):
    assert published_peak(kind) == peak


@pytest.mark.parametrize("device", ["gpu", "tpu"])
def test_a_device_that_is_not_there_is_reported(device):
    extra = {"gpu": "cuda", "tpu": "tpu"}[device]
    with pytest.raises(InputError, match=rf"--device {device}: .* only cpu .*\.\[{extra}\]"):
        use(device)


def test_a_cpu_has_no_published_peak_and_computes_in_float32(monkeypatch):
    monkeypatch.setattr("eval.timing.device.measured_peak", lambda dtype, size: 7.0)
    found = about_device("cpu", None)
    assert found == {
        "platform": "cpu",
        "kind": "cpu",
        "dtype": "float32",
        "published_peak": None,
        "measured_peak": 7.0,
    }
    assert about_device("cpu", "bfloat16")["dtype"] == "bfloat16"


def test_a_peak_is_measured():
    """Between a microcontroller and a data centre."""
    assert 1e6 < measured_peak("float32", 64) < 1e16
