"""The charts' geometry: what was not counted leaves a gap, and nothing falls out of the drawing."""

from datetime import UTC, datetime, timedelta

from rollout.dashboard.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, draw_trend
from rollout.dashboard.schema import TrendPoint
from rollout.stages import DISABLED

START = datetime(2026, 1, 1, tzinfo=UTC)


def trend(*success, latency=None):
    return [
        TrendPoint(START + timedelta(hours=hour), 0 if value is None else 10, 20, 0, value, latency, value)
        for hour, value in enumerate(success)
    ]


def test_an_hour_in_which_nothing_was_counted_breaks_the_line():
    chart = draw_trend(trend(100.0, 100.0, None, 95.0, 90.0, None, 99.0), stage=DISABLED)["creation_success"]
    assert len(chart.lines) == 3
    assert len(chart.areas) == 2
    assert len(chart.marks) == 5
    assert [row.value for row in chart.rows] == ["99%", "–", "90%", "95%", "–", "100%", "100%"]
    assert [row.counted for row in chart.rows][:2] == [10, 0]


def test_nothing_counted_is_an_empty_chart_that_says_so():
    for chart in draw_trend(trend(None, None, None), stage=DISABLED).values():
        assert chart.is_empty
        assert chart.summary == "Nothing was counted in the last 24 hours."


def test_every_mark_lies_within_the_drawing():
    for success, latency in ((0.0, 0.0), (100.0, 480.0), (81.5, 9000.0)):
        for chart in draw_trend(trend(success, 100.0, success, latency=latency), stage=DISABLED).values():
            for mark in (*chart.marks, *([chart.target] if chart.target else [])):
                assert LEFT <= mark.x <= WIDTH - RIGHT
                assert TOP <= mark.y <= HEIGHT - BOTTOM


def test_the_scale_is_cut_off_only_where_all_values_are_high():
    high, low = (draw_trend(trend(value, 100.0, 100.0), stage=DISABLED)["creation_success"] for value in (92.0, 12.5))
    assert [place.label for place in high.along] == ["80%", "100%"]
    assert [place.label for place in low.along] == ["0%", "100%"]


def test_the_summary_says_in_words_what_the_line_shows():
    chart = draw_trend(trend(100.0, 95.5, 98.0), stage=DISABLED)["creation_success"]
    assert "between 95.5% and 100%" in chart.summary
    assert "98% in the hour from 1 Jan 2026, 02:00 UTC" in chart.summary
