import re
import subprocess
import sys
from pathlib import Path


def test_the_benchmark_compares_the_same_work():
    command = [sys.executable, "-m", "benchmarks.speed", "--rounds", "1", "-s", "arch.args.sizes=[64,8,10]"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    figures = {line.split("  ")[2].strip(): re.findall(r"[\d.]+", line) for line in done.stdout.splitlines()[1:]}
    assert set(figures) == {"by hand", "template", "ratio"}
    by_hand, template, ratio = (float(figures[name][0]) for name in ("by hand", "template", "ratio"))
    assert abs(template / by_hand - ratio) < 0.01


def test_both_loops_do_as_many_steps():
    from benchmarks.speed import by_hand, template
    from parse_config import apply_settings, read_json

    settings = read_json(Path("config.json"))
    apply_settings(settings, ["arch.args.sizes=[64,8,10]", "data_loader.args.batch_size=200"])
    assert by_hand(settings)[1] == template(settings)[1] == 5 * 8  # 1,437 samples, 5 epochs
