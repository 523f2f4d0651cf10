import asyncio
import io

import pytest
from rich.console import Console

from eval.serve.app import make_app
from eval.serve.load import measure_serving, send, serving_table, started
from eval.timing.settings import ServingSpeed
from model.errors import InputError
from tests.eval.serve.echo import LIMITS, Echo
from tests.eval.serve.served import served_app


def shown(table) -> str:
    printed = io.StringIO()
    Console(file=printed, width=120).print(table)
    return printed.getvalue()


def test_requests_are_counted_with_their_statuses():
    echo = Echo()
    echo.name = "embed"
    with served_app(make_app([echo], {}, LIMITS, most_waiting=3)) as (_, port):
        run = asyncio.run(send(port, ["a", "bb", " "], clients=3, seconds=0.3))
    assert run["requests"] == sum(run["statuses"].values()) > 6
    assert run["statuses"].keys() == {"200", "400"}
    assert run["statuses"]["200"] == pytest.approx(2 * run["statuses"]["400"], abs=2)
    assert 0 < run["seconds"]["50"] <= run["seconds"]["95"] <= run["longest"] < 5
    assert run["per_second"] <= run["requests"] / 0.3


def test_a_server_that_is_lost_is_an_error():
    async def run() -> dict:
        async def leave(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(leave, "127.0.0.1", 0)
        async with server:
            return await send(server.sockets[0].getsockname()[1], ["a"], clients=2, seconds=5.0)

    assert asyncio.run(run())["statuses"] == {"lost": 2}


def test_the_table_has_medians_and_all_errors():
    runs = [
        {
            "requests": 10,
            "statuses": {"200": 9, "429": 1},
            "per_second": rate,
            "seconds": {"50": 0.1, "95": slow, "99": 0.3},
            "longest": slow + 1,
        }
        for rate, slow in ((5.0, 0.2), (7.0, 0.4), (6.0, 0.9))
    ]
    table = serving_table(ServingSpeed(), {"runs": runs, "peak_memory_bytes": 5e8})
    line = shown(table).splitlines()[-2].split()
    assert line == ["30", "3", "6", "100", "400", "300", "1,900", "500"]


@pytest.mark.long
def test_a_server_that_does_not_start(tmp_path):
    with pytest.raises(InputError, match="did not start"), started(str(tmp_path / "absent")):
        pass


@pytest.mark.long
def test_a_server_is_measured(folder, capsys):
    settings = ServingSpeed(model=str(folder("embedder")), clients=2, seconds=0.2, repeats=1,
                            tokens=8)  # fmt: skip
    result = measure_serving(settings, Console(width=120))
    [run] = result["runs"]
    assert run["statuses"] == {"200": run["requests"]} and run["requests"] > 1
    assert 1e8 < result["peak_memory_bytes"] < 1e10 and result["start_seconds"] > 0
    assert "2 clients, texts of 8 tokens" in capsys.readouterr().out
