from carecollective.serving.supervisor import LONGEST_PAUSE_SECONDS, STEADY_SECONDS, Pauses


def test_a_helper_that_ends_at_once_is_started_less_and_less_often_and_a_steady_one_soon() -> None:
    pauses = Pauses()
    assert [pauses.after(0.5) for _end in range(7)] == [1, 2, 4, 8, 16, LONGEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS]
    assert [pauses.after(STEADY_SECONDS), pauses.after(0.5)] == [1, 2]
