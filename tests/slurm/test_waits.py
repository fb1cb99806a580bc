"""Which of squeue's reasons never end by themselves."""

import pytest
from teachergrid.slurm import waits


@pytest.mark.parametrize(
    ("reason", "stuck", "says"),
    [
        ("PartitionTimeLimit", True, "runtime"),
        ("Job's account not permitted to use this partition (vip allows guests not nlp-lab)", True, "slurm_account"),
        ("Job's QOS not permitted to use this partition (vip allows a not b)", True, "qos"),
        ("PartitionDown", True, "open"),
        ("PartitionInactive", True, "open"),
        ("ReqNodeNotAvail, UnavailableNodes:gh2", True, "sinfo -R"),
        ("ReqNodeNotAvail, Reserved for maintenance", True, "reservation"),
        ("BadConstraints", True, "constraint"),
        ("AssocGrpGRESMinutes", True, "slurm_account"),
        ("AssocGrpCPURunMinutesLimit", True, "slurm_account"),
        ("QOSMaxWallDurationPerJobLimit", True, "set-resources"),
        ("QOSMaxGRESPerJob", True, "set-resources"),
        ("AssocMaxWallDurationPerJobLimit", True, "set-resources"),
        ("JobHeldUser", True, "scontrol release"),
        ("launch failed requeued held", True, "scontrol release"),
        ("DependencyNeverSatisfied", True, "scancel"),
        ("AssocGrpGRES", False, "limit is smaller"),
        ("QOSMaxJobsPerUserLimit", False, "limit is smaller"),
        ("Priority", False, ""),
        ("Resources", False, ""),
        ("None", False, ""),
    ],
)
def test_what_a_reason_means(reason, stuck, says):
    found = waits.of(reason)
    assert found.stuck is stuck and says in found.remedy and bool(found.means) is bool(says)
