"""The pool of workers: hostile answers, dead workers, forks, threads, scripts, and what is left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from sightline.rewards import Pool, grade, grade_many
from sightline.rewards.verdict import Question
from sightline.rewards.workers.fork_server import WorkersDoNotStart

HOSTILE = ("\\boxed{\\sin(e^{e^{18}})}", "\\cos 1")
"""An answer whose comparison does not end."""
ORDINARY = [(rf"\boxed{{\sin {n}x + \cos x}}", rf"\cos x + \sin {n}x") for n in range(2, 22)]
"""Answers that need the symbolic engine."""


@pytest.fixture(scope="module")
def pool():
    with Pool(workers=2, seconds=4) as pool:
        yield pool


def is_running(pid):
    """Whether a process lives; one that has ended but is not yet reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def alive(pool):
    return [worker.pid for worker in pool._workers if is_running(worker.pid)]


@pytest.mark.parametrize(
    ("answer", "gold", "expected"),
    [
        (r"|-5|", "5", True),
        (r"|5|", "-5", False),
        (r"2\ln 2", r"\ln 4", True),
        (r"\log_2 8", "3", True),
        (r"\sin 30^\circ", r"\frac{1}{2}", True),
        (r"\tan 45^\circ", "2", False),
        (r"\frac{1}{2-\sqrt{3}}", r"2+\sqrt{3}", True),
        (r"5 < x", "x > 5", True),
        (r"x \le 5", "x < 5", False),
        (r"(3,5)\cup(-\infty,2)", r"(-\infty,2)\cup(3,5)", True),
        (r"(-\infty,2]\cup(3,5)", r"(-\infty,2)\cup(3,5)", False),
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{bmatrix} 1 & 2 \\ 3 & 4 \end{bmatrix}", True),
        (r"\begin{pmatrix}2\\1\end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}", False),
        (r"\sqrt{x^2}", "x", False),
        (r"1/2 \sin x", r"\frac{\sin x}{2}", True),
        (r"4/3 \pi r^3", r"\frac{4}{3}\pi r^3", True),
        (r"1\frac{1}{2}\sin x", r"\frac{1}{2}\sin x", False),
        (r"3(4)\sin x", r"7 \sin x", False),
        (r"\sin x", r"\cos x", False),
        (r"sin(x)", r"\sin x", True),
        (r"\frac{1}{0}", "0", False),
        (r"\sqrt{x}=\sqrt{x}+1", r"\sqrt{x}=\sqrt{x}+2", False),
        (r"10^{-9}\ln 2", r"10^{-9}\ln 3", False),
    ],
)
def test_symbolic_comparisons(pool, answer, gold, expected):
    verdict = grade(f"\\boxed{{{answer}}}", gold, pool=pool)
    assert verdict.correct == expected, verdict
    assert verdict.how not in ("timeout", "crash")


def test_a_hostile_answer_is_wrong_and_counted(pool):
    before = pool.counts["timeout"]
    verdict = grade(*HOSTILE, pool=pool)
    assert (verdict.correct, verdict.how) == (False, "timeout")
    assert "within 4 s" in (verdict.why_not or "")
    assert pool.counts["timeout"] == before + 1


def test_a_hostile_answer_delays_no_other():
    with Pool(workers=2, seconds=300) as pool:
        hostile = pool.submit(Question("strict", HOSTILE[0][7:-1], HOSTILE[1]))
        assert all(verdict.correct for verdict in grade_many(ORDINARY, pool=pool))
        assert not hostile.done()  # the others went on beside it


def test_many_hostile_answers_queue_behind_no_warming_up(pool):
    """A worker that is lost is replaced by a fork, in milliseconds, and not by a Python that imports."""
    grade(*ORDINARY[0], pool=pool)
    with Pool(workers=2, seconds=0.2) as short:
        grade(*ORDINARY[0], pool=short)
        before = short.counts["started"]
        hostile = [(rf"\boxed{{\sin(e^{{e^{{18}}}} + {n})}}", r"\cos 1") for n in range(30)]
        started = time.monotonic()
        assert {verdict.how for verdict in grade_many(hostile, pool=short)} == {"timeout"}
        assert time.monotonic() - started < 15  # thirty processes that import took over a minute
        assert short.counts["started"] - before >= 28


def test_order_is_kept_and_equal_questions_are_asked_once(pool):
    grade(*ORDINARY[0], pool=pool)
    before = pool.counts["asked"]
    verdicts = grade_many([*ORDINARY[:3], HOSTILE, *ORDINARY[:3], HOSTILE, ("\\boxed{5}", "5")], pool=pool)
    assert [verdict.how for verdict in verdicts] == [*["symbolic"] * 3, "timeout"] * 2 + ["number"]
    assert pool.counts["asked"] == before + 4


def busy(pool, than=()):
    """A worker that has a question, other than those named."""
    while True:
        for worker in [worker for worker in set(pool._workers) if worker.pid not in than]:
            if worker.asked and is_running(worker.pid) and not pool._idle.count(worker):
                return worker.pid
        time.sleep(0.01)


def test_an_answer_over_which_two_workers_die_is_a_crash():
    with Pool(workers=1, seconds=30) as pool:
        grade(*ORDINARY[0], pool=pool)
        future = pool.submit(Question("strict", HOSTILE[0][7:-1], HOSTILE[1]))
        os.kill(first := busy(pool), signal.SIGKILL)
        os.kill(busy(pool, than=[first]), signal.SIGKILL)
        assert future.result().how == "crash"
        assert pool.counts["crash"] == 1
        assert grade(*ORDINARY[1], pool=pool).correct


def test_a_worker_killed_at_work_costs_an_honest_answer_nothing():
    with Pool(workers=1, seconds=30) as pool:
        grade(*ORDINARY[0], pool=pool)
        worker = pool._idle[-1]
        os.kill(worker.pid, signal.SIGSTOP)
        future = pool.submit(Question("strict", ORDINARY[1][0][7:-1], ORDINARY[1][1]))
        while worker.asked < 2:
            time.sleep(0.01)
        os.kill(worker.pid, signal.SIGKILL)
        assert future.result().correct
        assert (pool.counts["crash"], pool.counts["asked again"]) == (0, 1)


def test_processes_killed_while_they_start_are_replaced():
    with Pool(workers=1, seconds=30) as pool:
        future = pool.submit(Question("strict", ORDINARY[0][0][7:-1], ORDINARY[0][1]))
        while not (server := pool._fork_server):
            time.sleep(0.001)
        server.process.kill()
        assert future.result().correct


@pytest.mark.parametrize("killed", ["worker", "fork_server", "both"])
def test_processes_that_died_idle_cost_nobody_anything(killed):
    with Pool(workers=1, seconds=60) as pool:
        assert grade(*ORDINARY[0], pool=pool).correct
        assert pool._fork_server
        (worker,), server = alive(pool), pool._fork_server.process
        for pid in {"worker": [worker], "fork_server": [server.pid], "both": [worker, server.pid]}[killed]:
            os.kill(pid, signal.SIGKILL)
        if killed != "worker":
            server.wait()
        while killed != "fork_server" and is_running(worker):
            time.sleep(0.01)
        assert grade(*ORDINARY[1], pool=pool).correct
        assert pool.counts["crash"] == 0


def test_workers_that_do_not_start_are_an_error_not_a_zero(monkeypatch):
    monkeypatch.setattr("sightline.rewards.workers.fork_server.BOOT", "raise SystemExit(3)")
    with Pool(workers=1) as pool, pytest.raises(WorkersDoNotStart, match="exit code 3"):
        grade(*ORDINARY[0], pool=pool)


def test_closing_leaves_no_process_and_the_pool_can_be_used_again():
    pool = Pool(workers=2, seconds=60)
    grade_many(ORDINARY[:4], pool=pool)
    assert pool._fork_server
    processes = [*alive(pool), pool._fork_server.process.pid]
    assert len(processes) > 1
    pool.close()
    assert not [pid for pid in processes if is_running(pid)]
    assert grade(*ORDINARY[0], pool=pool).correct
    pool.close()
    pool.close()


def test_closing_ends_work_that_is_going_on():
    pool = Pool(workers=1, seconds=60)
    grade(*ORDINARY[0], pool=pool)
    future = pool.submit(Question("strict", HOSTILE[0][7:-1], HOSTILE[1]))
    while not any(worker.asked == 2 for worker in pool._workers):
        time.sleep(0.01)
    pool.close()
    assert future.result().how == "crash"
    assert not pool._workers


def test_many_threads_at_once(pool):
    results = {}

    def run(name):
        results[name] = [verdict.correct for verdict in grade_many(ORDINARY[:5], pool=pool)]

    threads = [threading.Thread(target=run, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {name: [True] * 5 for name in range(8)}
    assert len(alive(pool)) <= pool.size


def run_script(tmp_path, body, **options):
    script = tmp_path / "script.py"
    script.write_text(body)
    return subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=120, cwd=tmp_path, **options
    )


def test_a_script_without_a_main_guard(tmp_path):
    (tmp_path / "sympy.py").write_text("raise RuntimeError('a file of the user must not be imported')")
    done = run_script(
        tmp_path,
        "print('top')\n"
        "from sightline.rewards import grade\n"
        "print(grade(r'\\boxed{2\\ln 2}', r'\\ln 4').correct)\n",
    )
    assert done.stdout.split() == ["top", "True"], done.stderr
    assert done.stderr == ""


def test_a_forked_child_uses_its_own_workers_and_leaves_the_parents_alone(tmp_path):
    done = run_script(
        tmp_path,
        "import os, sys, warnings\n"
        "warnings.simplefilter('ignore', DeprecationWarning)\n"
        "from sightline.rewards import grade\n"
        "item = (r'\\boxed{2\\ln 2}', r'\\ln 4')\n"
        "assert grade(*item).correct\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    sys.exit(0 if grade(*item).correct else 1)\n"
        "_, status = os.waitpid(child, 0)\n"
        "assert os.waitstatus_to_exitcode(status) == 0\n"
        "assert grade(*item).correct\n"
        "from sightline.rewards.grade import SHARED\n"
        "assert SHARED.counts['crash'] == 0\n"
        "print('fine')\n",
    )
    assert done.stdout.strip() == "fine", done.stderr


def descendants(pid):
    threads = Path(f"/proc/{pid}/task").glob("*/children")
    found = [int(child) for thread in threads for child in thread.read_text().split()]
    return found + [grandchild for child in found for grandchild in descendants(child)]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
def test_a_killed_parent_leaves_no_worker(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import time\n"
        "from sightline.rewards import grade\n"
        "grade(r'\\boxed{2\\ln 2}', r'\\ln 4')\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline().strip() == "ready"
    workers = descendants(parent.pid)
    assert workers
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 20
    while any(is_running(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in workers if is_running(pid)]


def test_a_worker_evaluates_no_text():
    script = (
        "from sightline.rewards.answers import symbolic\n"
        "from sightline.rewards.workers import worker\n"
        "import sys, sympy\n"
        "sys.addaudithook(worker._refuse)\n"
        "assert symbolic.symbolic('\\\\frac{1}{2}+x', 'x+0.5')\n"
        "for attack in ('__import__(\"os\").getcwd()', 'open(\"x\", \"w\")', '(lambda: 5)()'):\n"
        "    try:\n"
        "        sympy.sympify(attack)\n"
        "    except sympy.SympifyError:\n"
        "        continue\n"
        "    raise SystemExit(1)\n"
        "import subprocess\n"
        "try:\n"
        "    subprocess.run(['true'])\n"
        "except PermissionError:\n"
        "    print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "refused", done.stderr


def test_workers_start_without_torch(pool):
    grade(*ORDINARY[0], pool=pool)
    mapped = Path(f"/proc/{alive(pool)[0]}/maps")
    if not mapped.exists():
        pytest.skip("needs /proc")
    assert "libtorch" not in mapped.read_text()


def test_pool_arguments_are_checked():
    for arguments in ({"workers": 0}, {"seconds": 0}):
        with pytest.raises(ValueError, match="at least one worker"):
            Pool(**arguments)


def question(item):
    return Question("strict", item[0][7:-1], item[1])


@pytest.fixture
def looks_often(monkeypatch):
    """A process that does not compute is given up after tenths of a second."""
    monkeypatch.setattr("sightline.rewards.workers.fork_server.WAIT", 0.1)
    monkeypatch.setattr("sightline.rewards.workers.fork_server._STALLED", 5)


def stop_when_busy(pool, stopped):
    """Stops every worker that is asked something until `stopped` have been."""
    seen = set()
    while len(seen) < stopped:
        seen.add(pid := busy(pool, than=seen))
        os.kill(pid, signal.SIGSTOP)


def test_a_worker_that_is_stopped_is_replaced_and_its_answer_judged(looks_often):
    with Pool(workers=1, seconds=30) as pool:
        grade(*ORDINARY[0], pool=pool)
        worker = pool._idle[-1]
        os.kill(worker.pid, signal.SIGSTOP)
        verdicts = grade_many(ORDINARY[1:4], pool=pool)
        assert [verdict.correct for verdict in verdicts] == [True] * 3
        assert (pool.counts["stalled"], pool.counts["asked again"]) == (1, 1)
        assert not is_running(worker.pid)


def test_what_is_stopped_twice_is_undecided_and_never_wrong(looks_often):
    with Pool(workers=1, seconds=30) as pool:
        grade(*ORDINARY[0], pool=pool)
        stopper = threading.Thread(target=stop_when_busy, args=(pool, 2))
        stopper.start()
        (verdict,) = grade_many([HOSTILE], pool=pool)
        stopper.join()
        assert (verdict.correct, verdict.how) == (None, "undecided")
        assert "not judged" in (verdict.why_not or "")


def test_a_worker_killed_three_times_leaves_its_answer_undecided():
    with Pool(workers=1, seconds=30) as pool:
        grade(*ORDINARY[0], pool=pool)
        found = []
        thread = threading.Thread(target=lambda: found.extend(grade_many([HOSTILE], pool=pool)))
        thread.start()
        killed = []
        for _ in range(3):
            killed.append(busy(pool, than=killed))
            os.kill(killed[-1], signal.SIGKILL)
        thread.join()
        assert (found[0].correct, found[0].how) == (None, "undecided")


def test_an_answer_that_ends_its_workers_by_itself_is_a_crash():
    with Pool(workers=1, seconds=30) as pool:
        grade(*ORDINARY[0], pool=pool)
        found = []
        thread = threading.Thread(target=lambda: found.extend(grade_many([HOSTILE], pool=pool)))
        thread.start()
        killed = []
        for _ in range(3):
            killed.append(busy(pool, than=killed))
            os.kill(killed[-1], signal.SIGSEGV)
        thread.join()
        assert (found[0].correct, found[0].how) == (False, "crash")


def test_the_clock_decides_nothing():
    """A worker that gets no turn for longer than an answer may compute is waited for."""
    with Pool(workers=1, seconds=0.5) as pool:
        grade(*ORDINARY[0], pool=pool)
        worker = pool._idle[-1]
        os.kill(worker.pid, signal.SIGSTOP)
        future = pool.submit(question(ORDINARY[1]))
        time.sleep(2)
        os.kill(worker.pid, signal.SIGCONT)
        assert future.result().correct
        assert pool.counts["started"] == 1


def test_a_hostile_answer_costs_what_it_may_compute(pool):
    grade(*ORDINARY[0], pool=pool)
    with Pool(workers=1, seconds=0.3) as short:
        grade(*ORDINARY[0], pool=short)
        assert short._fork_server
        before = _children_computed(short._fork_server.process.pid)
        assert grade(*HOSTILE, pool=short).how == "timeout"
        assert grade(*ORDINARY[0], pool=short).correct
        assert _children_computed(short._fork_server.process.pid) - before < 0.6


def _children_computed(pid):
    """What the ended children of a process have computed."""
    times = psutil.Process(pid).cpu_times()
    return times.children_user + times.children_system


def test_a_pool_takes_its_share_of_the_cores(monkeypatch):
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    alone = Pool().size
    assert 1 <= alone <= 8
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1000")
    assert Pool().size == 1
    assert Pool(workers=3).size == 3
