"""Dead, stuck, restarted, given up: by an injected clock."""

from neurosono.stream.processes.watch import (
    FIRST_REST_S,
    FORGIVEN_S,
    LONGEST_REST_S,
    MAX_RESTARTS,
    NS,
    Absences,
    Action,
    Patience,
    Watch,
)


def make_watch() -> Watch:
    watch = Watch(Patience(quiet_s=2.0, start_s=10.0))
    watch.start(0)
    return watch


def test_a_process_that_speaks_is_left_alone() -> None:
    watch = make_watch()
    for second in range(100):
        watch.hear(second * NS)
        assert watch.judge(second * NS + NS, running=True) is Action.NONE


def test_loading_may_take_longer_than_a_silence() -> None:
    watch = make_watch()
    assert watch.judge(9 * NS, running=True) is Action.NONE
    assert watch.judge(11 * NS, running=True) is Action.RESTART


def test_each_start_that_never_spoke_gives_the_next_twice_as_long() -> None:
    watch, now_ns = make_watch(), 0
    for limit_s in (10, 20, 40, 80, 80):
        watch.start(now_ns)
        assert watch.judge(now_ns + limit_s * NS, running=True) is Action.NONE
        now_ns += limit_s * NS + 1
        assert watch.judge(now_ns, running=True) is Action.RESTART
    watch.start(now_ns)
    watch.hear(now_ns)
    assert watch.judge(now_ns + 3 * NS, running=True) is Action.RESTART
    watch.start(now_ns + 3 * NS)
    assert watch.judge(now_ns + 14 * NS, running=True) is Action.RESTART


def test_a_stuck_process_is_restarted_after_its_patience() -> None:
    watch = make_watch()
    watch.hear(NS)
    assert watch.judge(3 * NS, running=True) is Action.NONE
    assert watch.judge(3 * NS + 1, running=True) is Action.RESTART


def test_an_excuse_prolongs_a_silence_but_is_no_first_word() -> None:
    watch = make_watch()
    watch.excuse(5 * NS)
    assert watch.judge(9 * NS, running=True) is Action.NONE
    assert watch.judge(11 * NS, running=True) is Action.RESTART
    watch.hear(12 * NS)
    watch.excuse(20 * NS)
    assert watch.judge(21 * NS, running=True) is Action.NONE


def test_a_dead_process_is_restarted_at_once() -> None:
    watch = make_watch()
    watch.hear(NS)
    assert watch.judge(NS + 1, running=False) is Action.RESTART


def test_restarts_back_off_and_end_after_five_in_a_minute() -> None:
    watch = make_watch()
    now_ns, restarts, pauses = 0, 0, []
    died_ns = 0
    while not watch.given_up:
        action = watch.judge(now_ns, running=False)
        if action is Action.RESTART:
            pauses.append((now_ns - died_ns) / NS)
            restarts += 1
            watch.start(now_ns)
            died_ns = now_ns
        now_ns += NS // 10
    assert restarts == MAX_RESTARTS
    assert pauses == sorted(pauses)
    assert pauses[-1] >= 4.0
    assert watch.judge(now_ns + 1000 * NS, running=False) is Action.NONE


def test_a_minute_of_peace_forgives() -> None:
    watch = make_watch()
    now_ns = 0
    for _ in range(20):
        assert watch.judge(now_ns, running=False) is Action.RESTART
        watch.start(now_ns)
        watch.hear(now_ns)
        now_ns += 61 * NS
        watch.hear(now_ns)
    assert not watch.given_up


def test_a_start_that_the_system_refused_is_tried_again_and_never_given_up() -> None:
    watch = make_watch()
    for second in range(0, 5 * MAX_RESTARTS, 2):
        watch.start(second * NS)
        watch.postpone(second * NS)
        assert watch.judge(second * NS + NS // 2, running=False) is Action.NONE
        assert watch.judge(second * NS + NS, running=False) is Action.RESTART
    assert watch.restarts == 0
    watch.start(100 * NS)
    assert watch.judge(101 * NS, running=True) is Action.NONE


def test_what_ran_for_a_while_is_started_again_at_once_however_often() -> None:
    watch = make_watch()
    for death in range(1, MAX_RESTARTS + 1):
        watch.hear(death * 6 * NS)
        assert watch.judge(death * 6 * NS + 1, running=False) is Action.RESTART
        watch.start(death * 6 * NS + 1)


def test_a_server_that_comes_and_goes_is_left_alone_for_ever_longer() -> None:
    absences, now_s, failed_s, rests = Absences(), 0.0, [], []
    for _ in range(8):
        failed_s.append(now_s)
        rests.append(absences.note(int(now_s * NS)))
        now_s += rests[-1]
    assert rests[:3] == [FIRST_REST_S, 2 * FIRST_REST_S, 4 * FIRST_REST_S]
    assert max(rests) <= LONGEST_REST_S
    assert all(sum(at <= each < at + 60 for each in failed_s) <= MAX_RESTARTS for at in failed_s)
    assert absences.note(int((now_s + FORGIVEN_S + 1) * NS)) == FIRST_REST_S
