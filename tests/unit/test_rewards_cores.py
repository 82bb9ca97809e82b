"""How many grading workers a process may have: affinity, control groups, ranks on one machine."""

import pytest

from sightline.rewards.workers.cores import share_of_cores


@pytest.fixture(autouse=True)
def many_cores(monkeypatch):
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(16)), raising=False)


@pytest.fixture
def system(tmp_path):
    """Files as the kernel shows them; returns what writes one, and the arguments to read them with."""
    groups, membership = tmp_path / "cgroup", tmp_path / "self"
    membership.write_text("0::/user/job\n")

    def write(path, text):
        (groups / path).parent.mkdir(parents=True, exist_ok=True)
        (groups / path).write_text(text)

    return write, membership, groups


def test_without_limits_it_is_what_the_scheduler_allows(system):
    _, membership, groups = system
    assert share_of_cores(groups, membership) == 16


@pytest.mark.parametrize(("limit", "cores"), [("400000 100000", 4), ("150000 100000", 1), ("max 100000", 16)])
def test_a_limit_of_the_control_group(system, limit, cores):
    write, membership, groups = system
    write("user/job/cpu.max", limit + "\n")
    assert share_of_cores(groups, membership) == cores


def test_a_limit_further_up_holds_too(system):
    write, membership, groups = system
    write("cpu.max", "max 100000")
    write("user/cpu.max", "300000 100000")
    write("user/job/cpu.max", "800000 100000")
    assert share_of_cores(groups, membership) == 3


def test_the_older_layout(system):
    write, membership, groups = system
    membership.write_text("4:memory:/job\n3:cpu,cpuacct:/job\n0::/\n")
    write("cpu,cpuacct/job/cpu.cfs_quota_us", "200000\n")
    write("cpu,cpuacct/job/cpu.cfs_period_us", "100000\n")
    assert share_of_cores(groups, membership) == 2
    write("cpu,cpuacct/job/cpu.cfs_quota_us", "-1\n")
    assert share_of_cores(groups, membership) == 16


@pytest.mark.parametrize("text", ["", "nonsense", "100000 0", "\x00"])
def test_what_cannot_be_read_limits_nothing(system, text):
    write, membership, groups = system
    write("user/job/cpu.max", text)
    assert share_of_cores(groups, membership) == 16


def test_ranks_of_one_machine_share(system, monkeypatch):
    _, membership, groups = system
    for ranks, cores in (("4", 4), ("5", 3), ("64", 1), ("", 16), ("x", 16), ("0", 16)):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", ranks)
        assert share_of_cores(groups, membership) == cores


def test_this_machine_is_read():
    assert share_of_cores() >= 1
