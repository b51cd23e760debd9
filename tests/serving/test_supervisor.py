from carecollective.serving.supervisor import LONGEST_PAUSE_SECONDS, STEADY_SECONDS, Pauses


def test_a_child_process_that_keeps_ending_is_restarted_less_often() -> None:
    pauses = Pauses()
    assert [pauses.after(0.5) for _end in range(7)] == [1, 2, 4, 8, 16, LONGEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS]
    assert [pauses.after(STEADY_SECONDS), pauses.after(0.5)] == [1, 2]
