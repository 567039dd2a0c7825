"""The pictures of a search show its trials."""

import pandas as pd
import pytest

from tools.tune import pictures
from tools.tune.space import Range

LR, SIZES, DROPOUT = "optimizer.args.lr", "arch.args.sizes", "arch.args.dropout"
SPACE = {LR: Range(1e-4, 1e-1, log=True), SIZES: [[64, 10], [64, 8, 10]], DROPOUT: Range(0.0, 0.5, log=False),
         "seed": [1, 2]}  # fmt: skip
TABLE = pd.DataFrame({
    "value": [0.7, None, 0.5, 0.9],
    LR: [1e-4, 1e-2, 1e-3, 1e-1],
    SIZES: [[64, 10], [64, 8, 10], [64, 8, 10], [64, 10]],
    DROPOUT: [0.0, 0.1, 0.25, 0.5],
    "seed": [1, 2, 2, 1],
})  # fmt: skip


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """`drawn(draw, ...)`: the figure, which is also saved."""
    figures, save = [], pictures.save_figure

    def keep(figure, path):
        save(figure, path)
        figures.append(figure)

    monkeypatch.setattr(pictures, "save_figure", keep)

    def run(draw, table, space, monitor):
        draw(table, space, monitor, tmp_path / "picture.png")
        assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
        return figures[-1]

    return run


@pytest.mark.parametrize(("monitor", "best"), [("min val_loss", 0.5), ("max val_accuracy", 0.9)])
def test_a_point_for_each_trial_that_has_a_value(drawn, monitor, best):
    panels = drawn(pictures.draw_values, TABLE, SPACE, monitor).axes
    assert [panel.get_xlabel() for panel in panels if panel.get_visible()] == [*SPACE]
    points = [[collection.get_offsets().tolist() for collection in panel.collections] for panel in panels]
    assert points[0] == [[[1e-4, 0.7], [1e-3, 0.5], [1e-1, 0.9]], [[1e-3 if best == 0.5 else 1e-1, best]]]
    assert points[1][0] == [[0, 0.7], [1, 0.5], [0, 0.9]]  # places in the list
    for panel in (panels[0], panels[2]):  # the range's ends can be seen
        low, high = panel.get_xlim()
        assert all(low < x < high for x, _ in panel.collections[0].get_offsets())


def test_a_line_for_each_trial_and_the_best_one_on_top(drawn):
    [panel] = drawn(pictures.draw_parallel, TABLE, SPACE, "min val_loss").axes
    lines = [list(line.get_ydata()) for line in panel.lines if len(line.get_xdata()) == 5]
    assert lines == [pytest.approx(line) for line in ([1, 0, 1, 0, 1], [0, 0, 0, 0, 0.5], [1 / 3, 1, 0.5, 1, 0])]


def test_a_single_trial_can_be_drawn(drawn):
    for draw in (pictures.draw_values, pictures.draw_parallel):
        assert drawn(draw, TABLE[:1], {LR: SPACE[LR]}, "min val_loss").axes
